package org.wavernn.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.Test;
import org.wavernn.WaveRnn;

public class SessionTest {
    private final List<FakeSink> sinks = new ArrayList<>();
    private int room = Integer.MAX_VALUE;
    private String failure;
    private final AtomicLong now = new AtomicLong();
    private long step = 1000; // nanoseconds that pass between two looks at the clock
    private final Session session = new Session(() -> {
        FakeSink sink = new FakeSink(room, failure);
        sinks.add(sink);
        return sink;
    }, () -> null, () -> now.addAndGet(step), Thread::new, FakeSink.NO_HINTS);

    private static final class Target extends Session.Target {
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        final int space;
        boolean discarded;

        Target(int space) {
            super("out.wav");
            this.space = space;
        }

        @Override
        public OutputStream open() {
            return new OutputStream() {
                @Override
                public void write(int b) throws IOException {
                    if (bytes.size() == space) {
                        throw new IOException("write failed: ENOSPC (No space left on device)");
                    }
                    bytes.write(b);
                }
            };
        }

        @Override
        public void discard() {
            discarded = true;
        }
    }

    private String ended(Progress.State state) throws InterruptedException {
        session.await();
        Progress progress = session.progress();
        assertEquals(String.valueOf(progress.error()), state, progress.state());
        assertFalse(progress.active());
        return progress.text();
    }

    @Test
    public void playsAllOfItAndSavesWhatWvRunWrites() throws Exception {
        String[] row = TestData.table("hashes.tsv").get(0);
        session.play(new Request(TestData.source(row[0]), TestData.source(row[1]), null, Long.parseUnsignedLong(row[2]),
                Float.parseFloat(row[3]), row[4]));
        String text = ended(Progress.State.DONE);
        assertEquals("swdc", sinks.get(0).calls.toString());
        assertEquals(16000, sinks.get(0).sampleRate);
        assertTrue(text, text.contains("SHA-256      " + row[4]));
        assertTrue(text, text.contains("as on the computer that built this app"));
        assertFalse(text, text.contains("NOT"));
        assertTrue(text, text.contains("late chunks  0"));
        assertTrue(text, text.contains(WaveRnn.isas().get(0)));

        assertTrue(session.canSave());
        Target target = new Target(Integer.MAX_VALUE);
        session.save(target);
        ended(Progress.State.DONE);
        assertArrayEquals(TestData.bytes("out.wav"), target.bytes.toByteArray());
        assertFalse(target.discarded);
        WavFile wav = WavFile.parse("out.wav", target.bytes.toByteArray());
        assertArrayEquals(wav.pcm, sinks.get(0).heard());
    }

    @Test
    public void aFullPhoneIsSaidAndNothingHalfIsLeft() throws Exception {
        session.play(TestData.request("f32.bin", "mel.npy"));
        session.await();
        Target target = new Target(100);
        session.save(target);
        ended(Progress.State.FAILED);
        assertEquals("There is no space left on this phone.", session.progress().error());
        assertTrue(target.discarded);
        assertTrue("the audio is still there to be saved elsewhere", session.canSave());
    }

    @Test
    public void anotherHashIsSaid() throws Exception {
        session.play(new Request(TestData.source("f32.bin"), TestData.source("mel.npy"), null, 1, 1, "00"));
        assertTrue(ended(Progress.State.DONE).contains("NOT as on the computer that built this app"));
    }

    @Test(timeout = 60_000)
    public void stopSilencesAtOnceInTheMiddleOfABlockedWrite() throws Exception {
        room = 60;
        session.play(TestData.request("f32.bin", "mel.npy"));
        sinks.get(0).full.await();
        assertEquals(Progress.State.RUNNING, session.progress().state());
        assertFalse("half a clip is no file yet", session.canSave());
        session.stop();
        ended(Progress.State.STOPPED);
        assertEquals("swxc", sinks.get(0).calls.toString());
        assertEquals(60, sinks.get(0).heard().length);
    }

    @Test
    public void stoppedWhileItLoadsItTakesNoOutput() throws Exception {
        session.play(new Request(TestData.source("f32.bin"), new Source("mel.npy") {
            @Override
            public InputStream open() throws IOException {
                session.stop();
                return TestData.source(name).open();
            }
        }, null, 0, 1, null));
        ended(Progress.State.STOPPED);
        assertEquals("x", sinks.get(0).calls.toString());
        assertFalse(session.canSave());
    }

    @Test(timeout = 60_000)
    public void theNextJobWaitsForTheOneBefore() throws Exception {
        room = 60;
        session.play(TestData.request("f32.bin", "mel.npy"));
        sinks.get(0).full.await();
        room = Integer.MAX_VALUE;
        session.playRecording(TestData.source("out.wav"));
        ended(Progress.State.DONE);
        assertEquals("swxc", sinks.get(0).calls.toString());
        assertEquals("swdc", sinks.get(1).calls.toString());
        assertArrayEquals(WavFile.parse("out.wav", TestData.bytes("out.wav")).pcm, sinks.get(1).heard());
    }

    @Test
    public void aSlowPhoneIsLate() throws Exception {
        step = 5_000_000; // twice that passes around each frame of 1.25 ms
        session.play(TestData.request("f32.bin", "mel.npy"));
        String text = ended(Progress.State.DONE);
        assertTrue(text, text.contains("real time x  4.000 (per chunk of 20: p50 4.000, p95 4.000)"));
        assertTrue(text, text.contains("first audio  5.00 ms"));
        assertTrue(text, text.contains("late chunks  6")); // of 7
    }

    @Test
    public void errorsAreWords() throws Exception {
        String[][] cases = {
            {"mel.npy", "mel.npy", "mel.npy: not a WaveRNN .bin file"},
            {"empty", "mel.npy", "empty: model file is truncated"},
            {"f32.bin", "f32.bin", "f32.bin: not a .npy file, wanted a mel array of wv-mel or numpy.save"},
            {"f32.bin", "bands.npy", "bands.npy: shape (9, 7), wanted (8, n_frames)"},
        };
        for (String[] row : cases) {
            session.play(TestData.request(row[0], row[1]));
            ended(Progress.State.FAILED);
            assertEquals(row[2], session.progress().error());
            assertEquals("", sinks.get(sinks.size() - 1).calls.toString().replace("x", ""));
        }
        session.play(TestData.request("f32.bin", "absent"));
        ended(Progress.State.FAILED);
        assertTrue(session.progress().error(), session.progress().error().startsWith("File not found: "));
        session.playRecording(TestData.source("mel.npy"));
        ended(Progress.State.FAILED);
        assertEquals("mel.npy: not a WAV file", session.progress().error());
        assertFalse(session.canSave());

        failure = "Another app holds the audio output, such as a call.";
        session.play(TestData.request("f32.bin", "mel.npy"));
        ended(Progress.State.FAILED);
        assertEquals(failure, session.progress().error());
        assertEquals("sc", sinks.get(sinks.size() - 1).calls.toString());
    }

    /** A file whose every read() is `read`. */
    private static Source reading(Callable<Integer> read) {
        return new Source("endless.bin") {
            @Override
            public InputStream open() {
                return new InputStream() {
                    @Override
                    public int read() {
                        throw new AssertionError("byte by byte");
                    }

                    @Override
                    public int read(byte[] bytes, int offset, int n) throws IOException {
                        try {
                            return read.call();
                        } catch (IOException | RuntimeException e) {
                            throw e;
                        } catch (Exception e) {
                            throw new AssertionError(e);
                        }
                    }
                };
            }
        };
    }

    @Test
    public void hugeFilesAreRefusedBeforeTheyFillTheMemory() throws Exception {
        session.play(new Request(reading(() -> 1 << 16), TestData.source("mel.npy"), null, 0, 1, null));
        ended(Progress.State.FAILED);
        assertEquals("endless.bin: more than 256 MB", session.progress().error());
        session.play(new Request(reading(() -> {
            throw new OutOfMemoryError("as a phone would say");
        }), TestData.source("mel.npy"), null, 0, 1, null));
        ended(Progress.State.FAILED);
        assertEquals("The file does not fit into this phone's memory.", session.progress().error());
    }

    @Test
    public void filesThatMayNotBeReadAnyMoreSaySo() throws Exception {
        session.play(new Request(reading(() -> {
            throw new SecurityException("Permission Denial: reading com.example.Provider");
        }), TestData.source("mel.npy"), null, 0, 1, null));
        ended(Progress.State.FAILED);
        assertEquals("The file may not be opened any more: pick it again.", session.progress().error());
    }

    @Test
    public void anErrorWithoutWordsHasAName() throws Exception {
        for (Throwable error : new Throwable[] {new NullPointerException(), new NoClassDefFoundError("org/wavernn/WaveRnn")}) {
            session.play(new Request(new Source("voice.bin") {
                @Override
                public InputStream open() {
                    if (error instanceof Error) {
                        throw (Error) error;
                    }
                    throw (RuntimeException) error;
                }
            }, TestData.source("mel.npy"), null, 0, 1, null));
            ended(Progress.State.FAILED);
            String wanted = error.getMessage() == null ? "NullPointerException" : error.getMessage();
            assertEquals(wanted, session.progress().error());
        }
    }

    /** A screen looks 20 times a second, for as long as the clip lasts, and must not copy the clip each time. */
    @Test
    public void aScreenThatWatchesAllocatesNothing() throws Exception {
        session.play(TestData.request("int8.bin", "long.npy"));
        ended(Progress.State.DONE);
        Picture picture = session.progress().picture();
        float[] lines = new float[2 * Envelope.COLUMNS];
        int[] pixels = new int[Spectrogram.ROWS * Spectrogram.COLUMNS];
        short[] chunk = new short[20];
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = 0;
        for (int look = 0; look < 2000; look++) {
            if (look == 1000) { // classes are loaded by then
                before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
            }
            assertTrue(session.canSave());
            picture.add(chunk, chunk.length);
            picture.envelope.read(lines);
            picture.spectrogram.read(pixels, -1);
        }
        long bytes = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
        assertTrue(bytes + " bytes", bytes < 10 * 1000); // of 1000 looks
    }

    @Test
    public void aSavedFileIsWrittenPieceByPiece() throws Exception {
        short[] pcm = new short[100_000];
        for (int i = 0; i < pcm.length; i++) {
            pcm[i] = (short) (7 * i);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new WavFile(24000, pcm).write(bytes);
        assertEquals(44 + 2 * pcm.length, bytes.size());
        WavFile again = WavFile.parse("again.wav", bytes.toByteArray());
        assertEquals(24000, again.sampleRate);
        assertArrayEquals(pcm, again.pcm);
    }

    @Test
    public void beforeTheFirstJobThereIsNothing() {
        session.stop();
        assertEquals(Progress.State.IDLE, session.progress().state());
        assertNull(session.progress().picture());
        assertFalse(session.canSave());
    }

    @Test
    public void theWaveformIsDrawnToItsEnd() throws Exception {
        session.play(TestData.request("f32.bin", "mel.npy"));
        ended(Progress.State.DONE);
        float[] lines = new float[2 * Envelope.COLUMNS];
        assertEquals(398, session.progress().picture().envelope.read(lines)); // of 400; the last of 140 samples begins it
        short[] heard = sinks.get(0).heard();
        float[] wanted = new float[2 * Envelope.COLUMNS];
        for (int i = 0; i < heard.length; i++) {
            wanted[2 * (i * 400 / 140)] = Math.min(0, heard[i] / 32768f);
            wanted[2 * (i * 400 / 140) + 1] = Math.max(0, heard[i] / 32768f);
        }
        assertArrayEquals(wanted, lines, 0);
    }
}
