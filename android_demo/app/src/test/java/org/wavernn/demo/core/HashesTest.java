package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;

import java.io.InputStream;
import org.junit.Test;

public class HashesTest {
    private static Source bundled(String name) {
        return new Source(name) {
            @Override
            public InputStream open() {
                throw new AssertionError("not read for this");
            }

            @Override
            public boolean bundled() {
                return true;
            }
        };
    }

    @Test
    public void onlyWhatIsBundledIsKnown() {
        Hashes hashes = new Hashes("v.bin\ta.npy\tabc\nv.bin\tb.npy\tdef\n");
        Source voice = bundled("v.bin");
        assertEquals("abc", hashes.of(voice, bundled("a.npy"), 0, 1));
        assertEquals("def", hashes.of(voice, bundled("b.npy"), 0, 1));
        assertNull(hashes.of(voice, bundled("c.npy"), 0, 1));
        assertNull(hashes.of(voice, bundled("a.npy"), 1, 1));
        assertNull(hashes.of(voice, bundled("a.npy"), 0, 0.9f));
        assertNull("the user's own file of that name", hashes.of(voice, TestData.source("a.npy"), 0, 1));
        assertNull("the user's own file of that name", hashes.of(TestData.source("v.bin"), bundled("a.npy"), 0, 1));
    }
}
