package org.wavernn.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.Test;

public class MicrophoneTest {
    private static final int RATE = 16000; // of the voice
    private final List<FakeSink> sinks = new ArrayList<>();
    private FakeMicrophone microphone;
    private final Session session = new Session(() -> {
        FakeSink sink = new FakeSink(Integer.MAX_VALUE, null);
        sinks.add(sink);
        return sink;
    }, () -> microphone, System::nanoTime, Thread::new, FakeSink.NO_HINTS);

    private static short[] tone(int rate, double seconds) {
        short[] pcm = new short[(int) (seconds * rate)];
        for (int i = 0; i < pcm.length; i++) {
            pcm[i] = (short) Math.round(8000 * Math.sin(2 * Math.PI * 440 * i / rate));
        }
        return pcm;
    }

    /** Records until all of it is heard; what was recorded, or null. */
    private Source record(FakeMicrophone heard, String voice) throws InterruptedException {
        microphone = heard;
        session.record(TestData.source(voice));
        assertTrue(session.recording());
        heard.heardAll.await();
        session.endRecording();
        session.await();
        assertFalse(session.recording());
        return session.takeRecording();
    }

    private void fails(FakeMicrophone heard, String voice, String words, String calls) throws InterruptedException {
        microphone = heard;
        session.record(TestData.source(voice));
        session.await();
        assertEquals(Progress.State.FAILED, session.progress().state());
        assertEquals(words, session.progress().error());
        assertNull(session.takeRecording());
        assertEquals(calls, heard.calls.toString());
    }

    /** The row of hashes.tsv for speech.wav: wv_mel's mels of that file, spoken by wv_run. */
    @Test
    public void theCopyOfARecordingIsThatOfTheSameFile() throws Exception {
        short[] speech = WavFile.parse("speech.wav", TestData.bytes("speech.wav")).pcm;
        Source recording = record(new FakeMicrophone(0, speech, null, null), "int8.bin");
        assertEquals("recording 1.wav", recording.name);
        assertArrayEquals(speech, WavFile.parse(recording.name, recording.bytes()).pcm);
        assertNull("given once", session.takeRecording());
        assertEquals("src", microphone.calls.toString());
        assertNotNull(session.progress().picture());

        for (String[] row : TestData.table("hashes.tsv")) {
            if (row[1].equals("speech.wav")) {
                session.play(new Request(TestData.source(row[0]), recording, null, 0, 1, row[4]));
                session.await();
                assertTrue(session.progress().text(), session.progress().text().contains("as on the computer that built this app"));
                assertFalse(session.progress().text().contains("NOT"));
                return;
            }
        }
        throw new AssertionError("hashes.tsv has no speech.wav");
    }

    @Test(timeout = 60_000)
    public void itEndsByItself() throws Exception {
        microphone = new FakeMicrophone(0, tone(RATE, 12), null, null);
        session.record(TestData.source("int8.bin"));
        session.await();
        short[] heard = WavFile.parse("", session.takeRecording().bytes()).pcm;
        assertArrayEquals(tone(RATE, 10), heard);
        assertTrue(session.progress().text(), session.progress().text().contains("10.0 s of at most 10, at 16000 Hz"));
    }

    @Test
    public void anotherRateBecomesTheVoices() throws Exception {
        Source recording = record(new FakeMicrophone(44100, tone(44100, 1), null, null), "int8.bin");
        WavFile wav = WavFile.parse("", recording.bytes());
        assertEquals(RATE, wav.sampleRate);
        short[] wanted = tone(RATE, 1);
        for (int i = 100; i < RATE - 100; i++) {
            assertEquals("sample " + i, wanted[i], wav.pcm[i], 8);
        }
    }

    @Test(timeout = 60_000)
    public void stopForgetsIt() throws Exception {
        microphone = new FakeMicrophone(0, tone(RATE, 2), null, null);
        session.record(TestData.source("int8.bin"));
        session.stop();
        session.await();
        assertEquals(Progress.State.STOPPED, session.progress().state());
        session.endRecording();
        assertNull(session.takeRecording());
        assertTrue(microphone.calls.toString(), microphone.calls.toString().matches("|sr?c"));
    }

    @Test(timeout = 60_000)
    public void playingEndsBeforeItBegins() throws Exception {
        session.play(TestData.request("int8.bin", "long.npy"));
        assertNotNull(record(new FakeMicrophone(0, tone(RATE, 1), null, null), "int8.bin"));
        assertTrue(sinks.get(0).calls.toString(), sinks.get(0).calls.toString().matches("x|s.*c"));
    }

    @Test
    public void whatIsOfNoUseIsSaid() throws Exception {
        assertNull(record(new FakeMicrophone(0, tone(RATE, 0.25), null, null), "int8.bin"));
        assertEquals("The recording has 0.25 s, wanted at least 0.5 s: speak before you stop it.", session.progress().error());
        assertNull(record(new FakeMicrophone(0, new short[RATE], null, null), "int8.bin"));
        assertEquals("The recording is silent: the microphone is switched off or covered, or another app holds it.",
                session.progress().error());
        fails(new FakeMicrophone(0, tone(RATE, 1), "not allowed", null), "int8.bin", "not allowed", "sc");
        fails(new FakeMicrophone(0, tone(RATE, 1), null, "broken"), "int8.bin", "broken", "src");
        fails(new FakeMicrophone(0, tone(RATE, 1), null, null), "mel.npy", "mel.npy: not a WaveRNN .bin file", "");
    }
}
