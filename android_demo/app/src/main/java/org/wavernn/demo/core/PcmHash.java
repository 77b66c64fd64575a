package org.wavernn.demo.core;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** SHA-256 of int16 little-endian samples, as wv-run prints it. */
final class PcmHash {
    private final MessageDigest digest;

    PcmHash() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }

    void add(short[] pcm, int n) {
        byte[] bytes = new byte[2 * n];
        for (int i = 0; i < n; i++) {
            bytes[2 * i] = (byte) pcm[i];
            bytes[2 * i + 1] = (byte) (pcm[i] >> 8);
        }
        digest.update(bytes);
    }

    /** 64 hexadecimal digits; the last call. */
    String hex() {
        StringBuilder text = new StringBuilder();
        for (byte b : digest.digest()) {
            text.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return text.toString();
    }
}
