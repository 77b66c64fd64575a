package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import org.junit.Test;
import org.wavernn.WaveRnn;

public class MelFileTest {
    @Test
    public void saysWhatWvRunSays() throws IOException {
        int cases = 0;
        try (WaveRnn rnn = WaveRnn.open(TestData.file("f32.bin"), new WaveRnn.Options())) {
            for (String[] row : TestData.table("errors.tsv")) { // mel file, message of wv_run
                FileException e = assertThrows(row[0], FileException.class,
                        () -> MelFile.parse(row[0], TestData.bytes(row[0]), rnn));
                assertEquals(row[1], e.getMessage());
                cases++;
            }
        }
        assertTrue("cases: " + cases, cases >= 12);
    }

    @Test
    public void everyLayoutIsRead() throws IOException {
        try (WaveRnn rnn = WaveRnn.open(TestData.file("f32.bin"), new WaveRnn.Options())) {
            float[] wanted = MelFile.parse("mel.npy", TestData.bytes("mel.npy"), rnn).frames;
            for (String name : new String[] {"plain.npy", "fortran.npy", "double.npy", "version2.npy"}) {
                assertEquals(name, java.util.Arrays.toString(wanted),
                        java.util.Arrays.toString(MelFile.parse(name, TestData.bytes(name), rnn).frames));
            }
        }
    }
}
