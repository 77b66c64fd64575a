package org.wavernn;

/** A status of libwavernn other than ok, in words. */
public final class WaveRnnException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** The name of the status in wavernn.h, in lower case without its prefix: "checksum", "isa", "mel", ... */
    public final String status;

    public WaveRnnException(String status, String text) {
        super(text);
        this.status = status;
    }
}
