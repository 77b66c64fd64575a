package org.wavernn.demo.core;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** How a job is getting on: written by its thread, read by the screen as often as that likes. */
public final class Progress {
    /** Where a job is in its life. */
    public enum State { IDLE, LOADING, RUNNING, DONE, STOPPED, FAILED }

    private final List<String> lines = new ArrayList<>(); // said once and kept
    private String live = ""; // the last lines, replaced as it runs
    private State state;
    private Picture picture;
    private String error;
    private String json;

    Progress(State state) {
        this.state = state;
    }

    synchronized void run(Picture picture) {
        this.picture = picture;
        state = State.RUNNING;
    }

    synchronized void say(String format, Object... args) {
        lines.add(String.format(Locale.ROOT, format, args));
    }

    synchronized void live(String format, Object... args) {
        live = String.format(Locale.ROOT, format, args);
    }

    synchronized void json(String json) {
        this.json = json;
    }

    synchronized void end(State state) {
        this.state = state;
    }

    synchronized void fail(String error) {
        this.error = error;
        state = State.FAILED;
    }

    public synchronized State state() {
        return state;
    }

    public synchronized boolean active() {
        return state == State.LOADING || state == State.RUNNING;
    }

    /** What went wrong, in words; null if nothing did. */
    public synchronized String error() {
        return error;
    }

    /** Of the sound so far; null before there is any. */
    public synchronized Picture picture() {
        return picture;
    }

    /** The results of a benchmark; null before they are there. */
    public synchronized String json() {
        return json;
    }

    /** All there is to say, a line each. */
    public synchronized String text() {
        StringBuilder text = new StringBuilder();
        for (String line : lines) {
            text.append(line).append('\n');
        }
        return text.append(live).toString().trim();
    }
}
