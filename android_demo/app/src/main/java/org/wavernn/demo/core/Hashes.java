package org.wavernn.demo.core;

import java.util.HashMap;
import java.util.Map;

/** The SHA-256 that each bundled voice makes of each bundled clip with seed 0, computed where the app was built. */
public final class Hashes {
    private final Map<String, String> known = new HashMap<>();

    /** `text`: lines of voice, mel and hash, separated by tabs. */
    public Hashes(String text) {
        for (String line : text.split("\n")) {
            String[] parts = line.split("\t");
            if (parts.length == 3) {
                known.put(parts[0] + "\t" + parts[1], parts[2].trim());
            }
        }
    }

    /** Null for what the user brought, another seed or another temperature. */
    public String of(Source voice, Source mel, long seed, float temperature) {
        boolean same = voice.bundled() && mel.bundled() && seed == 0 && temperature == 1;
        return same ? known.get(voice.name + "\t" + mel.name) : null;
    }
}
