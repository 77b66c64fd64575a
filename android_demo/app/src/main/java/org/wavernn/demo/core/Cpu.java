package org.wavernn.demo.core;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What /proc/cpuinfo says of the cores, in words. */
public final class Cpu {
    private static final Pattern LINE = Pattern.compile("(?m)^([^:\n]*?)\\s*: *(.*)$");
    private static final String[] INTERESTING =
            {"neon", "asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sse4_1", "avx2", "avx512_vnni"};
    private static final Map<String, String> ARM_PARTS = new TreeMap<>();

    static {
        String[] parts = {
            "0xc07 Cortex-A7", "0xc08 Cortex-A8", "0xc09 Cortex-A9", "0xc0f Cortex-A15", "0xd03 Cortex-A53",
            "0xd04 Cortex-A35", "0xd05 Cortex-A55", "0xd07 Cortex-A57", "0xd08 Cortex-A72", "0xd09 Cortex-A73",
            "0xd0a Cortex-A75", "0xd0b Cortex-A76", "0xd0c Neoverse-N1", "0xd0d Cortex-A77", "0xd41 Cortex-A78",
            "0xd44 Cortex-X1", "0xd46 Cortex-A510", "0xd47 Cortex-A710", "0xd48 Cortex-X2", "0xd4d Cortex-A715",
            "0xd4e Cortex-X3", "0xd80 Cortex-A520", "0xd81 Cortex-A720", "0xd82 Cortex-X4",
        };
        for (String part : parts) {
            ARM_PARTS.put(part.substring(0, 5), part.substring(6));
        }
    }

    public final String cores; // "4 x Cortex-A55, 4 x Cortex-A76"
    public final String features; // the ones that matter here: "asimd asimddp"

    private Cpu(String cores, String features) {
        this.cores = cores;
        this.features = features;
    }

    /** From the text of /proc/cpuinfo; "unknown" where it says nothing. */
    public static Cpu parse(String cpuinfo) {
        Map<String, Integer> counts = new LinkedHashMap<>();
        String implementer = "";
        String flags = " ";
        for (Matcher line = LINE.matcher(cpuinfo); line.find();) {
            String key = line.group(1);
            String value = line.group(2).trim();
            if (key.equals("CPU implementer")) {
                implementer = value;
            } else if (key.equals("CPU part")) {
                String known = implementer.equals("0x41") ? ARM_PARTS.get(value) : null;
                count(counts, known != null ? known : "part " + value + " of " + implementer);
            } else if (key.equals("model name") && !cpuinfo.contains("CPU part")) {
                count(counts, value);
            } else if (key.equals("Features") || key.equals("flags")) {
                flags = " " + value + " ";
            }
        }
        StringBuilder cores = new StringBuilder();
        for (Map.Entry<String, Integer> entry : counts.entrySet()) {
            cores.append(cores.length() == 0 ? "" : ", ").append(entry.getValue()).append(" x ").append(entry.getKey());
        }
        StringBuilder features = new StringBuilder();
        for (String name : INTERESTING) {
            if (flags.contains(" " + name + " ")) {
                features.append(features.length() == 0 ? "" : " ").append(name);
            }
        }
        return new Cpu(cores.length() == 0 ? "unknown" : cores.toString(),
                features.length() == 0 ? "unknown" : features.toString());
    }

    private static void count(Map<String, Integer> counts, String name) {
        Integer n = counts.get(name);
        counts.put(name, n == null ? 1 : n + 1);
    }
}
