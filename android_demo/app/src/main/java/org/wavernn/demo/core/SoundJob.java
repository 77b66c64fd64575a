package org.wavernn.demo.core;

import java.io.IOException;

/** A job that is heard: what it writes goes to the sink and into the picture. */
abstract class SoundJob extends Job {
    private final AudioSink sink;
    private Picture picture;

    SoundJob(AudioSink sink) {
        this.sink = sink;
    }

    /** Calls write() until all is said. */
    interface Speech {
        void speak() throws IOException;
    }

    @Override
    void stop() {
        super.stop();
        sink.stop();
    }

    /** Holds the output while `speech` speaks, until the last sample has been heard. */
    final void sound(int sampleRate, long samples, Speech speech) throws IOException {
        if (stopped) { // while it was loading: other apps' sound need not pause
            return;
        }
        picture = new Picture(samples);
        try {
            sink.start(sampleRate);
            progress.run(picture);
            speech.speak();
            if (!stopped) {
                sink.drain();
            }
        } finally {
            sink.close();
        }
    }

    final void write(short[] pcm, int n) throws IOException {
        picture.add(pcm, n);
        sink.write(pcm, n);
    }
}
