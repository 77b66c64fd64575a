package org.wavernn.demo.core;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** A file by name: an asset, a document that the user picked, or bytes in memory. */
public abstract class Source {
    /** Longer files than this are refused before they fill the memory. */
    static final int MAX_BYTES = 256 << 20;

    public final String name;

    protected Source(String name) {
        this.name = name;
    }

    public static Source of(String name, byte[] bytes) {
        return new Source(name) {
            @Override
            public InputStream open() {
                return new ByteArrayInputStream(bytes);
            }
        };
    }

    public abstract InputStream open() throws IOException;

    /** Whether it came with the app: a file that the user picked may have the same name. */
    public boolean bundled() {
        return false;
    }

    /** The whole file. */
    public byte[] bytes() throws IOException {
        try (InputStream in = open()) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int n; (n = in.read(part)) >= 0;) {
                if (n > MAX_BYTES - bytes.size()) {
                    throw new FileException(name, "more than " + (MAX_BYTES >> 20) + " MB");
                }
                bytes.write(part, 0, n);
            }
            return bytes.toByteArray();
        }
    }

    @Override
    public String toString() { // what a list on the screen shows
        return name;
    }
}
