package org.wavernn.demo.core;

import java.io.Closeable;
import java.lang.reflect.Method;

/**
 * Tells the phone how long each chunk may take and took, so that it can choose cores and clocks: a session of
 * PerformanceHintManager (API 31), by reflection, as the app compiles against API 23. Without one, or when it refuses,
 * nothing happens.
 */
public final class PerformanceHint implements Closeable {
    /** Makes one for the thread that calls it. */
    public interface Factory {
        PerformanceHint create(long targetNanos);
    }

    private Object session; // null: none
    private Method report;

    /** For one thread of this process. `manager`: a PerformanceHintManager, or null where there is none. */
    public PerformanceHint(Object manager, int threadId, long targetNanos) {
        if (manager == null) {
            return;
        }
        try {
            session = manager.getClass().getMethod("createHintSession", int[].class, long.class)
                    .invoke(manager, new int[] {threadId}, targetNanos); // null where the phone does not support it
            report = session == null ? null : session.getClass().getMethod("reportActualWorkDuration", long.class);
        } catch (ReflectiveOperationException | RuntimeException e) {
            close();
        }
    }

    boolean active() {
        return session != null;
    }

    /** A chunk took this long to compute. */
    void report(long nanos) {
        if (session == null) {
            return;
        }
        try {
            report.invoke(session, Math.max(1, nanos)); // 0 is refused
        } catch (ReflectiveOperationException | RuntimeException e) {
            close(); // refused once, refused always
        }
    }

    @Override
    public void close() {
        if (session == null) {
            return;
        }
        try {
            session.getClass().getMethod("close").invoke(session);
        } catch (ReflectiveOperationException | RuntimeException e) {
            // no more hints come either way
        }
        session = null;
    }
}
