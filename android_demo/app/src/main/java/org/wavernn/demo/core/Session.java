package org.wavernn.demo.core;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Map;
import java.util.concurrent.ThreadFactory;

/**
 * What the app is doing, apart from any screen: at most one job at a time, the newest one. It lives as long as the
 * process, so that turning the phone changes nothing. Methods return at once; what they started tells of itself in
 * progress().
 */
public final class Session {
    private final AudioSink.Factory sinks;
    private final Microphone.Factory microphones;
    private final Clock clock;
    private final ThreadFactory threads;
    private final PerformanceHint.Factory hints;
    private Job newest;
    private PlayJob lastPlay;
    private MicrophoneJob lastRecording; // whose recording nobody has taken
    private int nRecordings;
    private Progress progress = new Progress(Progress.State.IDLE);

    public Session(AudioSink.Factory sinks, Microphone.Factory microphones, Clock clock, ThreadFactory threads,
            PerformanceHint.Factory hints) {
        this.sinks = sinks;
        this.microphones = microphones;
        this.clock = clock;
        this.threads = threads;
        this.hints = hints;
    }

    /** Synthesizes and plays. */
    public synchronized void play(Request request) {
        lastPlay = new PlayJob(request, sinks.create(), clock, hints);
        start(lastPlay);
    }

    /** Plays a WAV file. */
    public synchronized void playRecording(Source wav) {
        start(new RecordingJob(wav, sinks.create()));
    }

    /** Records what this voice is to copy, until endRecording(). */
    public synchronized void record(Source voice) {
        lastRecording = new MicrophoneJob("recording " + ++nRecordings + ".wav", voice, microphones.create());
        start(lastRecording);
    }

    public synchronized boolean recording() {
        return lastRecording != null && lastRecording.progress.active();
    }

    /** Keeps what was recorded; stop() forgets it. */
    public synchronized void endRecording() {
        if (lastRecording != null) {
            lastRecording.enough();
        }
    }

    /** The newest recording, a WAV file, once it is there; each is given once, null otherwise. */
    public synchronized Source takeRecording() {
        Source recording = lastRecording == null || lastRecording.progress.state() != Progress.State.DONE ? null
                : lastRecording.recording();
        if (recording != null) {
            lastRecording = null;
        }
        return recording;
    }

    /** Measures: every ISA shortly, or one for a minute. `device` goes into the JSON as it is. */
    public synchronized void benchmark(Request request, boolean sustained, Map<String, Object> device) {
        start(new BenchJob(request, sustained, device, clock));
    }

    /** Silence, at once. */
    public synchronized void stop() {
        if (newest != null) {
            newest.stop();
        }
    }

    /** Waits until the newest job has ended. For tests. */
    public void await() throws InterruptedException {
        Job job;
        synchronized (this) {
            job = newest;
        }
        if (job != null) {
            job.await();
        }
    }

    /** Of the newest job. */
    public synchronized Progress progress() {
        return progress;
    }

    /** Whether save() has anything to write. */
    public synchronized boolean canSave() {
        return lastPlay != null && !lastPlay.progress.active() && lastPlay.hasSpoken();
    }

    /** Writes what was spoken last as a WAV file, whole or not at all. */
    public synchronized void save(Target target) {
        PlayJob play = lastPlay;
        start(new Job() {
            @Override
            void work() throws IOException {
                WavFile wav = play == null ? null : play.wav();
                if (wav == null) {
                    throw new IOException("Nothing has been spoken yet.");
                }
                try (OutputStream out = target.open()) {
                    wav.write(out);
                } catch (IOException | RuntimeException e) {
                    try {
                        target.discard();
                    } catch (IOException | RuntimeException again) {
                        e.addSuppressed(again);
                    }
                    throw e;
                }
                progress.say("saved        %s, %d samples", target.name, wav.pcm.length);
            }
        });
    }

    /** A file to write to, on the job's thread. */
    public abstract static class Target {
        public final String name;

        protected Target(String name) {
            this.name = name;
        }

        public abstract OutputStream open() throws IOException;

        /** Deletes what was written before an error. */
        public abstract void discard() throws IOException;
    }

    private void start(Job job) {
        Job previous = newest;
        if (previous != null) {
            previous.stop();
        }
        newest = job;
        progress = job.progress;
        threads.newThread(() -> {
            try {
                if (previous != null) {
                    previous.await();
                }
                job.run();
            } catch (InterruptedException e) {
                job.progress.fail("interrupted");
            }
        }).start();
    }
}
