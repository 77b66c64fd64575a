package org.wavernn.demo.core;

import java.io.IOException;

/** A file that is not what it should be: "name: what was found, what was wanted". */
public final class FileException extends IOException {
    private static final long serialVersionUID = 1;

    public FileException(String file, String text) {
        super(file + ": " + text);
    }
}
