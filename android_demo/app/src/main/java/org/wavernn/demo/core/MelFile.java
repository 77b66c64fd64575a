package org.wavernn.demo.core;

import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.wavernn.WaveRnn;

/**
 * Mels out of a .npy of wv-mel or numpy.save. Twin of tools/npy.c: the same checks in the same order, the
 * same words.
 */
public final class MelFile {
    private static final long MAX_SAMPLES = (0xFFFFFFFFL - 36) / 2; // what the 32-bit sizes of a WAV file can say
    private static final float LOWEST_MEL = -16, HIGHEST_MEL = 6;
    private static final Pattern DESCR = Pattern.compile("'descr': *'([^']{1,15})");
    private static final Pattern FORTRAN = Pattern.compile("'fortran_order': *(True)?");
    private static final Pattern SHAPE = Pattern.compile("'shape': *(\\([^)]{1,61})");
    private static final Pattern NUMBER = Pattern.compile("[0-9]+");
    private static final Pattern TAG = Pattern.compile("# mel: ([^;\n]*)(;?)");

    public final String name;
    public final float[] frames; // (nFrames, nMels)
    public final int nFrames;

    private MelFile(String name, float[] frames, int nFrames) {
        this.name = name;
        this.frames = frames;
        this.nFrames = nFrames;
    }

    /** The mels in a file's bytes, for a model that is `info`. */
    public static MelFile parse(String name, byte[] bytes, WaveRnn.Info info) throws FileException {
        FileException notNpy =
                new FileException(name, "not a .npy file, wanted a mel array of wv-mel or numpy.save");

        // 1) a .npy header: magic, version, length, a dictionary in text
        ByteBuffer file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        byte[] magic = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
        if (bytes.length < 12 || !file.slice().limit(6).equals(ByteBuffer.wrap(magic)) || bytes[6] < 1 || bytes[6] > 3) {
            throw notNpy;
        }
        int start = bytes[6] > 1 ? 12 : 10;
        long length = bytes[6] > 1 ? file.getInt(8) & 0xFFFFFFFFL : file.getShort(8) & 0xFFFF;
        if (length > 65536 || start + length > bytes.length) {
            throw notNpy;
        }
        String header = new String(bytes, start, (int) length, StandardCharsets.ISO_8859_1);
        int data = start + (int) length;
        Matcher descr = DESCR.matcher(header);
        Matcher fortran = FORTRAN.matcher(header);
        Matcher shape = SHAPE.matcher(header);
        if (!descr.find() || !fortran.find() || !shape.find()) {
            throw notNpy;
        }

        // 2) float32 or float64
        String dtype = descr.group(1);
        int item = dtype.equals("<f4") ? 4 : dtype.equals("<f8") ? 8 : 0;
        if (item == 0) {
            throw new FileException(name, "dtype " + dtype + ", wanted <f4 (float32) or <f8");
        }

        // 3) (n_mels, n_frames)
        boolean fortranOrder = fortran.group(1) != null;
        String text = shape.group(1) + ")";
        List<BigDecimal> dims = new ArrayList<>();
        for (Matcher number = NUMBER.matcher(text); number.find();) {
            dims.add(new BigDecimal(number.group()));
        }
        BigDecimal nMels = BigDecimal.valueOf(info.nMels);
        if (dims.size() == 2 && !dims.get(0).equals(nMels) && dims.get(1).equals(nMels)) {
            throw new FileException(name, "shape " + text + " is transposed, wanted (n_mels, n_frames) = ("
                    + dims.get(1) + ", " + dims.get(0) + ")");
        }
        if (dims.size() != 2 || !dims.get(0).equals(nMels)) {
            throw new FileException(name, "shape " + text + ", wanted (" + nMels + ", n_frames)");
        }
        BigDecimal longest = BigDecimal.valueOf(MAX_SAMPLES / info.hopLength);
        if (dims.get(1).signum() == 0) {
            throw new FileException(name, "0 frames, wanted at least 1");
        }
        if (dims.get(1).compareTo(longest) > 0) {
            throw new FileException(name, dims.get(1) + " frames, wanted at most the " + longest + " that fit a WAV file");
        }
        int nFrames = dims.get(1).intValueExact();
        if (nFrames > (bytes.length - data) / item / info.nMels) {
            throw new FileException(name, "truncated: " + (bytes.length - data) + " bytes of data, wanted " + text + " of "
                    + dtype);
        }

        // 4) the settings it was made with, if wv-mel wrote them
        String wanted = info.melName + ", " + info.sampleRate + " Hz, hop " + info.hopLength;
        Matcher tag = TAG.matcher(header);
        if (tag.find() && !(tag.group(1).equals(wanted) && tag.group(2).equals(";"))) {
            throw new FileException(name, "made for " + tag.group(1) + "; the model wants " + wanted);
        }

        // 5) finite natural logarithms, frame after frame as push() wants them
        float[] frames = new float[info.nMels * nFrames];
        float low = Float.POSITIVE_INFINITY;
        float high = Float.NEGATIVE_INFINITY;
        for (int band = 0; band < info.nMels; band++) {
            for (int t = 0; t < nFrames; t++) {
                int at = data + item * (fortranOrder ? t * info.nMels + band : band * nFrames + t);
                float x = item == 4 ? file.getFloat(at) : (float) file.getDouble(at);
                if (Float.isNaN(x) || Float.isInfinite(x)) {
                    throw new FileException(name, "NaN or infinite at band " + band + ", frame " + t);
                }
                low = Math.min(low, x);
                high = Math.max(high, x);
                frames[t * info.nMels + band] = x;
            }
        }
        if (low < LOWEST_MEL || high > HIGHEST_MEL || low >= 0) {
            String guess = low >= 0 ? "; these look linear" : low < LOWEST_MEL ? "; these look like decibels" : "";
            throw new FileException(name, "values from " + digits(low) + " to " + digits(high)
                    + ", wanted natural-log mels, about -11.5 to 3" + guess);
        }
        return new MelFile(name, frames, nFrames);
    }

    /** C's %.4g. */
    static String digits(double x) {
        if (x == 0) {
            return "0";
        }
        BigDecimal rounded = new BigDecimal(x).round(new MathContext(4)).stripTrailingZeros();
        int exponent = rounded.precision() - rounded.scale() - 1;
        if (exponent >= -4 && exponent < 4) {
            return rounded.toPlainString();
        }
        String power = (exponent < 0 ? "e-" : "e+") + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
        return rounded.movePointLeft(exponent).stripTrailingZeros().toPlainString() + power;
    }
}
