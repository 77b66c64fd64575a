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
                        () -> MelFile.parse(row[0], TestData.bytes(row[0]), rnn.info()));
                assertEquals(row[1], e.getMessage());
                cases++;
            }
        }
        assertTrue("cases: " + cases, cases >= 12);
    }

    @Test
    public void everyLayoutIsRead() throws IOException {
        try (WaveRnn rnn = WaveRnn.open(TestData.file("f32.bin"), new WaveRnn.Options())) {
            float[] wanted = MelFile.parse("mel.npy", TestData.bytes("mel.npy"), rnn.info()).frames;
            for (String name : new String[] {"plain.npy", "fortran.npy", "double.npy", "version2.npy"}) {
                assertEquals(name, java.util.Arrays.toString(wanted),
                        java.util.Arrays.toString(MelFile.parse(name, TestData.bytes(name), rnn.info()).frames));
            }
        }
    }

    @Test
    public void digitsAreThoseOfC() {
        double[] values = {0, 1, -100, 0.5, 123.456, 12345.6, -99999, 1e10, 1.5e-5, 0.00012345, 9999.6, 3.4028235e38f};
        String[] wanted = {"0", "1", "-100", "0.5", "123.5", "1.235e+04", "-1e+05", "1e+10", "1.5e-05", "0.0001234",
            "1e+04", "3.403e+38"};
        for (int i = 0; i < values.length; i++) {
            assertEquals(wanted[i], MelFile.digits(values[i]));
        }
    }
}
