package org.wavernn;

import java.io.Closeable;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Log-mels in, 16-bit audio out, as a stream: the Java face of libwavernn (wavernn.h).
 *
 * <pre>
 * try (WaveRnn rnn = WaveRnn.open(new File("voice.bin"), new WaveRnn.Options().seed(0))) {
 *     int pushed = 0, n;
 *     short[] pcm = new short[rnn.info().hopLength];
 *     do {
 *         pushed += rnn.push(mel, pushed, nFrames - pushed);    // mel: frame after frame, nMels floats each
 *         if (pushed == nFrames) rnn.finish();                  // no more frames: the last ones can be spoken
 *         n = rnn.pull(pcm, 0, pcm.length);                     // as many samples as the pushed frames allow
 *         play(pcm, n);
 *     } while (n > 0);
 * }
 * </pre>
 *
 * The samples depend on the model, the mels, the seed and the temperature alone: not on the CPU, nor on how the stream
 * is cut into pushes and pulls. One stream is meant for one thread; methods are synchronized, so that a close() from
 * another thread waits for the call that runs. Every failure is a {@link WaveRnnException} that says what is wrong.
 */
public final class WaveRnn implements Closeable {
    private static final int ALIGNMENT = 64; // of a model's first byte: WV_ERR_ALIGNMENT

    static {
        System.loadLibrary("wavernn_jni");
    }

    /** What wv_options has, with its defaults. */
    public static final class Options {
        private long seed;
        private float temperature = 1;
        private int maxFrames = 64;
        private String isa;
        private int threads = 1;

        /** 64 bits; those above 2^63 are the negative numbers. */
        public Options seed(long seed) {
            this.seed = seed;
            return this;
        }

        /** Above 0; 1 samples the model as trained. */
        public Options temperature(float temperature) {
            this.temperature = temperature;
            return this;
        }

        /** Frames that may wait inside the stream, 1 to 65536. */
        public Options maxFrames(int maxFrames) {
            this.maxFrames = maxFrames;
            return this;
        }

        /** One of {@link WaveRnn#isas()}; null takes the best one. */
        public Options isa(String isa) {
            this.isa = isa;
            return this;
        }

        /** Threads that share the lanes of a Subscale voice, 1 to 64; other voices have one. */
        public Options threads(int threads) {
            this.threads = threads;
            return this;
        }
    }

    /** What a model is: wv_info. */
    public static final class Info {
        public final int sampleRate; // Hz
        public final int hopLength; // samples per mel frame
        public final int nMels;
        public final int nUnits;
        public final int lookahead; // frames that must be pushed beyond the one being pulled
        public final String dtype; // of R: f32, f16 or int8
        public final String melName; // preset

        private Info(int[] values, String melName) {
            sampleRate = values[0];
            hopLength = values[1];
            nMels = values[2];
            nUnits = values[3];
            lookahead = values[4];
            dtype = new String[] {"f32", "f16", "int8"}[values[5]];
            this.melName = melName;
        }
    }

    /** wv_stage: parts of the sample loop, for benchmarks alone. */
    public enum Stage { SAMPLE, R, GATES, O, SAMPLING, CONDITION }

    private final ByteBuffer model; // used in place: must live as long as the handle
    private final Info info;
    private long handle;

    private WaveRnn(ByteBuffer model, Options options) {
        this.model = model;
        handle = nativeOpen(model, model.remaining(), options.seed, options.temperature, options.maxFrames, options.isa,
                options.threads);
        info = new Info(nativeInfo(handle), new String(nativeMelName(handle), StandardCharsets.UTF_8));
    }

    /** Opens a model file, mapped, not copied. */
    public static WaveRnn open(File file, Options options) throws IOException {
        try (FileInputStream in = new FileInputStream(file)) {
            FileChannel channel = in.getChannel();
            if (channel.size() == 0) {
                throw new WaveRnnException("truncated", "model file is truncated"); // an empty file cannot be mapped
            }
            return open(channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()), options);
        }
    }

    /**
     * Opens the model between a direct buffer's position and limit. It is used in place: it starts at a multiple of 64
     * bytes and stays unchanged.
     */
    public static WaveRnn open(ByteBuffer model, Options options) {
        if (!model.isDirect()) {
            throw new IllegalArgumentException("model: found an array, wanted a direct buffer");
        }
        return new WaveRnn(model.slice(), options);
    }

    /** Opens a copy of the model in these bytes, such as those of an asset. */
    public static WaveRnn open(byte[] model, Options options) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(model.length + ALIGNMENT);
        int start = (int) (-nativeAddress(buffer) & (ALIGNMENT - 1));
        buffer.position(start);
        buffer.put(model);
        buffer.limit(start + model.length);
        buffer.position(start);
        return open(buffer, options);
    }

    /** The ISAs this build holds and this CPU runs, best first. */
    public static List<String> isas() {
        List<String> names = new ArrayList<>();
        for (String name; (name = nativeIsaName(names.size())) != null;) {
            names.add(name);
        }
        return names;
    }

    /** Of libwavernn. */
    public static String version() {
        return nativeVersion();
    }

    public Info info() {
        return info;
    }

    /** The ISA this stream runs on. */
    public synchronized String isa() {
        return nativeIsa(open());
    }

    /**
     * The mels in the bytes of a .npy file of wv-mel or numpy.save: frame after frame, as push() takes them. Throws a
     * WaveRnnException of status "mel" if the file holds no mels for this model.
     */
    public synchronized float[] readMels(byte[] npy) {
        return nativeReadMels(open(), npy);
    }

    /**
     * The mels of a WAV file's audio, as push() takes them, for a copy of a recording: PCM of 8 to 32 bits or float, at the
     * model's rate, mixed to mono. Throws a WaveRnnException of status "mel" if it is no such file.
     */
    public synchronized float[] analyse(byte[] wav) {
        return nativeAnalyse(open(), wav);
    }

    /** Copies frames [first, first + nFrames) of mel, nMels floats each, into the stream; returns how many fitted. */
    public synchronized int push(float[] mel, int first, int nFrames) {
        if (first < 0 || nFrames < 0 || first > mel.length / info.nMels - nFrames) {
            throw new IndexOutOfBoundsException("frames " + first + " to " + ((long) first + nFrames) + " of "
                    + mel.length / info.nMels);
        }
        return nativePush(open(), mel, first, nFrames);
    }

    /** No more frames will come. */
    public synchronized void finish() {
        nativeFinish(open());
    }

    /** Samples that pull() could give now. */
    public synchronized int available() {
        return nativeAvailable(open());
    }

    /** Writes up to n samples from pcm[offset] on; returns how many there were. */
    public synchronized int pull(short[] pcm, int offset, int n) {
        if (offset < 0 || n < 0 || offset > pcm.length - n) {
            throw new IndexOutOfBoundsException("samples " + offset + " to " + ((long) offset + n) + " of " + pcm.length);
        }
        return nativePull(open(), pcm, offset, n);
    }

    /** Back to silence and sample 0 with another seed; what was pushed is forgotten. */
    public synchronized void reset(long seed) {
        nativeReset(open(), seed);
    }

    /** Runs one stage nTimes, to be timed. The audio after it is undefined until reset(). */
    public synchronized void benchStage(Stage stage, int nTimes) {
        if (nTimes < 0) {
            throw new IllegalArgumentException("nTimes: found " + nTimes + ", wanted 0 or more");
        }
        nativeBenchStage(open(), stage.ordinal(), nTimes);
    }

    @Override
    public synchronized void close() {
        if (handle != 0) {
            nativeClose(handle);
            handle = 0;
        }
    }

    private long open() {
        if (handle == 0) {
            throw new IllegalStateException("used after close()");
        }
        return handle;
    }

    private static native long nativeAddress(ByteBuffer buffer);
    private static native long nativeOpen(ByteBuffer model, int nBytes, long seed, float temperature, int maxFrames,
            String isa, int threads);
    private static native void nativeClose(long handle);
    private static native int[] nativeInfo(long handle);
    private static native byte[] nativeMelName(long handle);
    private static native String nativeIsa(long handle);
    private static native String nativeIsaName(int index);
    private static native String nativeVersion();
    private static native void nativeReset(long handle, long seed);
    private static native float[] nativeReadMels(long handle, byte[] npy);
    private static native float[] nativeAnalyse(long handle, byte[] wav);
    private static native int nativePush(long handle, float[] mel, int first, int nFrames);
    private static native void nativeFinish(long handle);
    private static native int nativeAvailable(long handle);
    private static native int nativePull(long handle, short[] pcm, int offset, int n);
    private static native void nativeBenchStage(long handle, int stage, int nTimes);
}
