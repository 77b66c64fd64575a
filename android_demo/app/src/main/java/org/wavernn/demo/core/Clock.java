package org.wavernn.demo.core;

/** Time that only grows: System.nanoTime(), or a test's own. */
public interface Clock {
    long nanos();
}
