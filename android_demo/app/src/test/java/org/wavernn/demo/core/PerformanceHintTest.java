package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Test;

public class PerformanceHintTest {
    private final List<String> calls = Collections.synchronizedList(new ArrayList<>());

    /** The methods of android.os.PerformanceHintManager. */
    public class Manager {
        public Session createHintSession(int[] threads, long targetNanos) {
            calls.add("create " + Arrays.toString(threads) + " " + targetNanos);
            return new Session();
        }
    }

    /** The methods of its Session. */
    public class Session {
        public void reportActualWorkDuration(long nanos) {
            if (nanos <= 0) {
                throw new IllegalArgumentException("the actual duration should be positive.");
            }
            calls.add("report " + nanos);
        }

        public void close() {
            calls.add("close");
        }
    }

    /** A phone that has the service, without support of its own. */
    public class Unsupported extends Manager {
        @Override
        public Session createHintSession(int[] threads, long targetNanos) {
            return null;
        }
    }

    /** A phone that says no. */
    public class Refusing extends Manager {
        @Override
        public Session createHintSession(int[] threads, long targetNanos) {
            throw new SecurityException("Some tid doesn't belong to the process");
        }
    }

    /** A phone that stops listening. */
    public class Dying extends Manager {
        @Override
        public Session createHintSession(int[] threads, long targetNanos) {
            return new Session() {
                @Override
                public void reportActualWorkDuration(long nanos) {
                    calls.add("dead");
                    throw new IllegalStateException("the service died");
                }
            };
        }
    }

    @Test
    public void itCallsWhatThePhoneHas() {
        PerformanceHint hint = new PerformanceHint(new Manager(), 42, 12_500_000);
        assertTrue(hint.active());
        hint.report(5);
        hint.report(0);
        hint.close();
        hint.close();
        hint.report(6);
        assertFalse(hint.active());
        assertEquals("[create [42] 12500000, report 5, report 1, close]", calls.toString());
    }

    @Test
    public void withoutAnythingNothingHappens() {
        for (Object manager : new Object[] {null, "an object of another shape", new Unsupported(), new Refusing()}) {
            PerformanceHint hint = new PerformanceHint(manager, 42, 1);
            assertFalse(hint.active());
            hint.report(5);
            hint.close();
        }
        assertEquals("[]", calls.toString());
    }

    @Test
    public void aServiceThatFailsIsLeftAlone() {
        PerformanceHint hint = new PerformanceHint(new Dying(), 42, 1);
        hint.report(5);
        hint.report(5);
        hint.close();
        assertEquals("[dead, close]", calls.toString());
    }

    @Test
    public void playingReportsEveryChunkAgainstItsDuration() throws Exception {
        for (boolean there : new boolean[] {true, false}) {
            calls.clear();
            org.wavernn.demo.core.Session session = new org.wavernn.demo.core.Session(
                    () -> new FakeSink(Integer.MAX_VALUE, null), () -> null, System::nanoTime, Thread::new,
                    nanos -> new PerformanceHint(there ? new Manager() : null, 7, nanos));
            session.play(TestData.request("f32.bin", "mel.npy"));
            session.await();
            Progress progress = session.progress();
            assertEquals(progress.error(), Progress.State.DONE, progress.state());
            assertTrue(progress.text(), progress.text().contains("hints        " + (there ? "PerformanceHintManager" : "none")));
            assertEquals(there ? 9 : 0, calls.size()); // 7 frames
            if (there) {
                assertEquals("create [7] 1250000", calls.get(0)); // 20 samples at 16 kHz
                assertTrue(calls.get(7), calls.get(7).startsWith("report "));
                assertEquals("close", calls.get(8));
            }
        }
    }
}
