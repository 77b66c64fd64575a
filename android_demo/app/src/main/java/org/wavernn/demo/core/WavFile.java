package org.wavernn.demo.core;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** 16-bit mono PCM in a WAV file: the recordings, and what is saved. */
public final class WavFile {
    public final int sampleRate; // Hz
    public final short[] pcm;

    public WavFile(int sampleRate, short[] pcm) {
        this.sampleRate = sampleRate;
        this.pcm = pcm;
    }

    /** The same at another rate. */
    WavFile at(int rate) {
        return rate == sampleRate ? this : new WavFile(rate, Resampler.convert(pcm, sampleRate, rate));
    }

    /** The canonical 44 bytes, then the samples: the bytes that wv-run writes. */
    public void write(OutputStream out) throws IOException {
        ByteBuffer file = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN); // a piece of it
        file.put(ascii("RIFF")).putInt(36 + 2 * pcm.length).put(ascii("WAVEfmt ")).putInt(16);
        file.putShort((short) 1).putShort((short) 1).putInt(sampleRate).putInt(2 * sampleRate); // PCM, one channel
        file.putShort((short) 2).putShort((short) 16).put(ascii("data")).putInt(2 * pcm.length);
        for (short sample : pcm) {
            if (file.remaining() < 2) {
                out.write(file.array(), 0, file.position());
                file.clear();
            }
            file.putShort(sample);
        }
        out.write(file.array(), 0, file.position());
        out.flush();
    }

    /** Reads what write() writes, and such files with other chunks in between. */
    public static WavFile parse(String name, byte[] bytes) throws FileException {
        ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (!is(bytes)) {
            throw new FileException(name, "not a WAV file");
        }
        int rate = 0;
        for (long at = 12; at + 8 <= bytes.length;) {
            int start = (int) at + 8;
            long size = file.getInt(start - 4) & 0xFFFFFFFFL;
            if (size > bytes.length - start) {
                throw new FileException(name, "truncated");
            }
            if (is(bytes, start - 8, "fmt ") && size >= 16) {
                if (file.getShort(start) != 1 || file.getShort(start + 2) != 1 || file.getShort(start + 14) != 16) {
                    throw new FileException(name, "wanted 16-bit mono PCM");
                }
                rate = file.getInt(start + 4);
            } else if (is(bytes, start - 8, "data") && rate > 0) {
                short[] pcm = new short[(int) size / 2];
                file.position(start);
                file.slice().order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(pcm);
                return new WavFile(rate, pcm);
            }
            at = start + size + size % 2;
        }
        throw new FileException(name, "no samples in it");
    }

    /** Whether it begins as one. */
    static boolean is(byte[] bytes) {
        return bytes.length >= 12 && is(bytes, 0, "RIFF") && is(bytes, 8, "WAVE");
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static boolean is(byte[] bytes, int at, String tag) {
        return new String(bytes, at, 4, StandardCharsets.ISO_8859_1).equals(tag);
    }
}
