// speak.cpp - libwavernn in a C++ program: `speak voice.bin < mels.f32 > audio.s16`, as ../stream.c in C.
//
// Voice and Stream are what to lift into a program of your own; CMakeLists.txt beside this file finds the library.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <wavernn.h>

namespace {

void check(wv_status status, const std::string &what) {
    if (status != WV_OK) throw std::runtime_error(what + ": " + wv_status_str(status));
}

// A model file, read once. Immutable: streams of several threads may share it.
class Voice {
public:
    explicit Voice(const std::string &path) {
        std::ifstream file(path, std::ios::binary | std::ios::ate);
        if (!file) throw std::runtime_error(path + ": cannot be read");
        const auto n_bytes = static_cast<std::size_t>(file.tellg());
        bytes_.reset(static_cast<char *>(::operator new(n_bytes + 1, alignment)));
        file.seekg(0);
        if (!file.read(bytes_.get(), static_cast<std::streamsize>(n_bytes))) throw std::runtime_error(path + ": cannot be read");
        wv_model *model = nullptr;
        check(wv_model_load(bytes_.get(), n_bytes, &model), path);
        model_.reset(model);
        check(wv_model_info(model, &info_), path);
    }
    const wv_model *model() const { return model_.get(); }
    const wv_info &info() const { return info_; }

private:
    static constexpr std::align_val_t alignment{64}; // what wv_model_load wants
    struct FreeBytes {
        void operator()(char *p) const { ::operator delete(p, alignment); }
    };
    struct FreeModel {
        void operator()(wv_model *p) const { wv_model_free(p); }
    };
    std::unique_ptr<char, FreeBytes> bytes_; // used in place: outlives the model
    std::unique_ptr<wv_model, FreeModel> model_;
    wv_info info_{};
};

// One utterance: mels in, samples out. One thread at a time; the voice must outlive it.
class Stream {
public:
    explicit Stream(const Voice &voice, std::uint64_t seed = 0) {
        wv_options options = WV_OPTIONS_DEFAULT;
        options.seed = seed;
        wv_state *state = nullptr;
        check(wv_state_new(voice.model(), &options, &state), "stream");
        state_.reset(state);
    }
    // A frame, and the samples that it allows.
    std::vector<std::int16_t> push(const std::vector<float> &frame) {
        std::size_t taken = 0;
        check(wv_push(state_.get(), frame.data(), 1, &taken), "push");
        return pull();
    }
    // The rest, after the last frame.
    std::vector<std::int16_t> finish() {
        check(wv_finish(state_.get()), "finish");
        return pull();
    }

private:
    std::vector<std::int16_t> pull() {
        std::vector<std::int16_t> pcm(wv_available(state_.get()));
        std::size_t written = 0;
        check(wv_pull(state_.get(), pcm.data(), pcm.size(), &written), "pull");
        return pcm;
    }
    struct FreeState {
        void operator()(wv_state *p) const { wv_state_free(p); }
    };
    std::unique_ptr<wv_state, FreeState> state_;
};

void write(const std::vector<std::int16_t> &pcm) { std::fwrite(pcm.data(), sizeof pcm[0], pcm.size(), stdout); }

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: speak MODEL < mels.f32 > audio.s16\n";
        return 2;
    }
    try {
        const Voice voice(argv[1]);
        Stream stream(voice);
        std::vector<float> frame(static_cast<std::size_t>(voice.info().n_mels));
        while (std::fread(frame.data(), sizeof frame[0], frame.size(), stdin) == frame.size()) write(stream.push(frame));
        write(stream.finish());
    } catch (const std::exception &error) {
        std::cerr << "speak: error: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
