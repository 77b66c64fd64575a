package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.Test;
import org.wavernn.WaveRnn;

/** Writes bench.json and sustained.json, which tests/packaging/test_android.py reads beside wv-bench's. */
public class BenchTest {
    private static final int HURRY = 60; // a clock that makes a minute a second

    private final Session session = new Session(() -> {
        throw new AssertionError("a benchmark makes no sound");
    }, () -> null, () -> HURRY * System.nanoTime(), Thread::new, FakeSink.NO_HINTS);

    private String run(boolean sustained) throws Exception {
        session.benchmark(TestData.request("int8.bin", "mel.npy"), sustained, Collections.singletonMap("model", "a \"test\""));
        session.await();
        assertEquals(session.progress().error(), Progress.State.DONE, session.progress().state());
        try (OutputStream out = new FileOutputStream(TestData.file(sustained ? "sustained.json" : "bench.json"))) {
            out.write(session.progress().json().getBytes(StandardCharsets.UTF_8));
        }
        return session.progress().text();
    }

    @Test
    public void shortRunsMeasureEveryIsa() throws Exception {
        String text = run(false);
        for (String isa : WaveRnn.isas()) {
            assertTrue(text, text.contains(isa));
        }
    }

    @Test
    public void sustainedRunsLastAMinute() throws Exception {
        assertTrue(run(true).contains("last 5 s"));
    }

    @Test
    public void stopEndsItWithoutResultsWhereverItIs() throws Exception {
        for (int looks = 1; looks < 40; looks++) {
            AtomicInteger left = new AtomicInteger(looks); // at the clock, until it is stopped
            Session[] stopping = {null};
            stopping[0] = new Session(() -> null, () -> null, () -> {
                if (left.decrementAndGet() == 0) {
                    stopping[0].stop();
                }
                return System.nanoTime();
            }, Thread::new, FakeSink.NO_HINTS);
            stopping[0].benchmark(TestData.request("int8.bin", "mel.npy"), true, Collections.<String, Object>emptyMap());
            stopping[0].await();
            Progress progress = stopping[0].progress();
            assertEquals(progress.error(), Progress.State.STOPPED, progress.state());
            assertNull(progress.json());
        }
    }
}
