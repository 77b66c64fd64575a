package org.wavernn.demo.core;

import static org.junit.Assert.assertNotNull;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/** The folder that tests/packaging/test_android.py filled: models, mels, and tables of what wv_run makes of them. */
final class TestData {
    private TestData() {
    }

    static File file(String name) {
        String folder = System.getProperty("wavernn.data");
        assertNotNull("run by tests/packaging/test_android.py, which makes the data", folder);
        return new File(folder, name);
    }

    static byte[] bytes(String name) throws IOException {
        return Files.readAllBytes(file(name).toPath());
    }

    static List<String[]> table(String name) throws IOException {
        List<String[]> rows = new ArrayList<>();
        for (String line : new String(bytes(name), StandardCharsets.UTF_8).split("\n")) {
            rows.add(line.split("\t"));
        }
        return rows;
    }

    static Source source(String name) {
        return new Source(name) {
            @Override
            public InputStream open() throws IOException {
                return new FileInputStream(file(name));
            }
        };
    }

    static Request request(String voice, String mel) {
        return new Request(source(voice), source(mel), null, 3, 1, null);
    }
}
