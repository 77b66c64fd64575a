package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.Test;
import org.junit.function.ThrowingRunnable;
import org.wavernn.WaveRnn;
import org.wavernn.WaveRnnException;

public class WaveRnnTest {
    private static WaveRnn open(String name, WaveRnn.Options options) throws IOException {
        return WaveRnn.open(TestData.bytes(name), options);
    }

    private static void fails(String status, ThrowingRunnable call) {
        WaveRnnException e = assertThrows(WaveRnnException.class, call);
        assertEquals(status, e.status);
        assertTrue(e.getMessage(), e.getMessage().length() > 5);
    }

    /** Pushes `chunk` frames at a time and pulls `part` samples at a time. */
    private static String hash(WaveRnn rnn, MelFile mel, int chunk, int part) {
        PcmHash hash = new PcmHash();
        short[] pcm = new short[part + 2];
        for (int pushed = 0, n = 1; pushed < mel.nFrames || n > 0;) {
            pushed += rnn.push(mel.frames, pushed, Math.min(chunk, mel.nFrames - pushed));
            if (pushed == mel.nFrames) {
                rnn.finish();
            }
            while ((n = rnn.pull(pcm, 1, part)) > 0) {
                hash.add(Arrays.copyOfRange(pcm, 1, 1 + n), n);
            }
        }
        assertEquals("outside of the range", 0, pcm[0] | pcm[part + 1]);
        return hash.hex();
    }

    @Test
    public void everyIsaAndChunkSizeGivesTheHashOfWvRun() throws IOException {
        int cases = 0;
        for (String[] row : TestData.table("hashes.tsv")) { // model, mels, seed, temperature, SHA-256
            long seed = Long.parseUnsignedLong(row[2]);
            for (String isa : WaveRnn.isas()) {
                for (int maxFrames : new int[] {3, 64}) { // few samples to a pull; more than fit JNI's own buffer
                    WaveRnn.Options options = new WaveRnn.Options().isa(isa).seed(seed)
                            .temperature(Float.parseFloat(row[3])).maxFrames(maxFrames).threads(maxFrames % 4 + 1);
                    try (WaveRnn rnn = open(row[0], options)) {
                        assertEquals(isa, rnn.isa());
                        MelFile mel = MelFile.parse(row[1], TestData.bytes(row[1]), rnn);
                        for (int[] sizes : new int[][] {{1, 7}, {2, 513}, {1000, 4096}}) {
                            assertEquals(String.join(" ", row) + " " + isa, row[4], hash(rnn, mel, sizes[0], sizes[1]));
                            rnn.reset(seed);
                            cases++;
                        }
                    }
                }
            }
        }
        assertTrue("cases: " + cases, cases >= 72);
    }

    @Test
    public void theCpuGetsItsIsas() {
        assertEquals(System.getProperty("wavernn.isas"), String.join(",", WaveRnn.isas()));
    }

    @Test
    public void infoTellsWhatTheModelIs() throws IOException {
        try (WaveRnn rnn = WaveRnn.open(TestData.file("int8.bin"), new WaveRnn.Options())) {
            WaveRnn.Info info = rnn.info();
            assertEquals("16000 20 8 64 1 int8 tiny", info.sampleRate + " " + info.hopLength + " " + info.nMels + " "
                    + info.nUnits + " " + info.lookahead + " " + info.dtype + " " + info.melName);
            assertEquals(WaveRnn.isas().get(0), rnn.isa());
            assertTrue(WaveRnn.version().matches("\\d+\\.\\d+\\.\\d+"));
        }
    }

    @Test
    public void aFrameCanBeSpokenWhenTheNextOneIsThere() throws IOException {
        try (WaveRnn rnn = open("f32.bin", new WaveRnn.Options().maxFrames(3))) {
            float[] mel = new float[10 * 8];
            assertEquals(0, rnn.available());
            assertEquals(1, rnn.push(mel, 0, 1));
            assertEquals(0, rnn.available());
            assertEquals(1, rnn.push(mel, 1, 1));
            assertEquals(20, rnn.available());
            assertTrue("no more than fits", rnn.push(mel, 2, 8) < 8);
            int before = rnn.available();
            rnn.finish();
            assertEquals(before + 20, rnn.available());
        }
    }

    @Test
    public void damagedModelsAreRefused() throws IOException {
        byte[] good = TestData.bytes("f32.bin");
        assertRefused("truncated", Arrays.copyOf(good, good.length - 64));
        assertRefused("truncated", new byte[0]);
        byte[] flipped = good.clone();
        flipped[good.length - 1] ^= 1;
        assertRefused("checksum", flipped);
        assertRefused("magic", TestData.bytes("mel.npy"));
        fails("truncated", () -> WaveRnn.open(TestData.file("empty"), new WaveRnn.Options()));
        assertThrows(IOException.class, () -> WaveRnn.open(TestData.file("absent"), new WaveRnn.Options()));
    }

    private static void assertRefused(String status, byte[] bytes) {
        fails(status, () -> WaveRnn.open(bytes, new WaveRnn.Options()));
    }

    @Test
    public void badArgumentsAreRefused() throws IOException {
        byte[] good = TestData.bytes("f32.bin");
        fails("isa", () -> WaveRnn.open(good, new WaveRnn.Options().isa("sse9")));
        fails("argument", () -> WaveRnn.open(good, new WaveRnn.Options().temperature(0)));
        fails("argument", () -> WaveRnn.open(good, new WaveRnn.Options().maxFrames(0)));
        assertThrows(IllegalArgumentException.class, () -> WaveRnn.open(ByteBuffer.wrap(good), new WaveRnn.Options()));
        ByteBuffer shifted = ByteBuffer.allocateDirect(good.length + 128);
        for (int aligned = 0, at = 0; at < 64; at++) { // one start of 64 is right
            shifted.clear().position(at);
            shifted.put(good).flip().position(at);
            try {
                WaveRnn.open(shifted, new WaveRnn.Options()).close();
                aligned++;
            } catch (WaveRnnException e) {
                assertEquals("alignment", e.status);
            }
            assertTrue(aligned <= 1);
            assertTrue(at < 63 || aligned == 1);
        }
        try (WaveRnn rnn = WaveRnn.open(good, new WaveRnn.Options())) {
            assertThrows(IndexOutOfBoundsException.class, () -> rnn.push(new float[16], 1, 2));
            assertThrows(IndexOutOfBoundsException.class, () -> rnn.push(new float[16], -1, 1));
            assertThrows(IndexOutOfBoundsException.class, () -> rnn.push(new float[16], 1, Integer.MAX_VALUE));
            assertThrows(IndexOutOfBoundsException.class, () -> rnn.pull(new short[16], 10, 7));
            assertThrows(IndexOutOfBoundsException.class, () -> rnn.pull(new short[16], 1, Integer.MAX_VALUE));
            float[] mel = new float[8];
            mel[5] = Float.NaN;
            fails("mel", () -> rnn.push(mel, 0, 1));
            rnn.finish();
            fails("finished", () -> rnn.push(new float[8], 0, 1));
        }
    }

    @Test
    public void closedStreamsSaySo() throws IOException {
        WaveRnn rnn = open("f32.bin", new WaveRnn.Options());
        rnn.close();
        rnn.close();
        assertThrows(IllegalStateException.class, rnn::isa);
        assertThrows(IllegalStateException.class, rnn::available);
        assertThrows(IllegalStateException.class, () -> rnn.pull(new short[1], 0, 1));
    }
}
