package org.wavernn.demo;

import android.app.Application;
import android.content.ContentResolver;
import android.content.res.AssetManager;
import android.net.Uri;
import android.os.Build;
import android.os.Process;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.wavernn.WaveRnn;
import org.wavernn.demo.core.Cpu;
import org.wavernn.demo.core.Hashes;
import org.wavernn.demo.core.PerformanceHint;
import org.wavernn.demo.core.Request;
import org.wavernn.demo.core.Session;
import org.wavernn.demo.core.Source;

/** What outlives a screen: the session, the files to choose from, and what the phone is. */
public final class DemoApp extends Application {
    final List<Source> voices = new ArrayList<>();
    final List<Source> mels = new ArrayList<>();
    Session session;
    Request benchRequest; // what MainActivity had chosen
    private Hashes hashes = new Hashes("");
    private final Map<String, String> words = new HashMap<>(); // of a bundled clip
    private Cpu cpu;
    private int visible; // screens

    @Override
    public void onCreate() {
        super.onCreate();
        session = new Session(() -> new TrackSink(this, () -> session.stop()), () -> new RecordMicrophone(this), System::nanoTime,
                DemoApp::audioThread, nanos -> new PerformanceHint(hintManager(), Process.myTid(), nanos));
        cpu = Cpu.parse(text("/proc/cpuinfo"));
        try {
            for (String name : getAssets().list("voices")) {
                voices.add(asset("voices/" + name));
            }
            for (String name : getAssets().list("clips")) {
                if (name.endsWith(".npy")) {
                    mels.add(asset("clips/" + name));
                }
            }
            hashes = new Hashes(new String(asset("hashes.tsv").bytes(), StandardCharsets.UTF_8));
            for (String line : new String(asset("words.tsv").bytes(), StandardCharsets.UTF_8).split("\n")) {
                String[] parts = line.split("\t", 2);
                words.put(parts[0], parts[parts.length - 1]);
            }
        } catch (IOException e) {
            // built without the assets of `make apk-assets`: the user's own files still work
        }
    }

    private static Thread audioThread(Runnable job) {
        return new Thread(() -> {
            Process.setThreadPriority(Process.THREAD_PRIORITY_URGENT_AUDIO);
            job.run();
        }, "wavernn");
    }

    /** A PerformanceHintManager; null before Android 12, which brought it. */
    private Object hintManager() {
        return Build.VERSION.SDK_INT < 31 ? null : getSystemService("performance_hint");
    }

    void screenStarts() {
        visible++;
    }

    /** A turned phone plays on; one in the pocket, or in another app, does not. */
    void screenStops(boolean turned) {
        if (--visible == 0 && !turned) {
            session.stop();
        }
    }

    /** What is said in mels; empty for the user's own. */
    String words(Source mel) {
        String text = mel.bundled() ? words.get(mel.name) : null;
        return text == null ? "" : "“" + text + "”";
    }

    /** The recording that mels are made from: a clip's, or the user's own WAV file; null for others. */
    Source recording(Source mel) {
        boolean wav = mel.name.toLowerCase(Locale.ROOT).endsWith(".wav");
        return mel.bundled() ? asset("clips/" + mel.name.replace(".npy", ".wav")) : wav ? mel : null;
    }

    Request request(Source voice, Source mel, String isa, long seed, float temperature) {
        return new Request(voice, mel, isa, seed, temperature, hashes.of(voice, mel, seed, temperature));
    }

    /** The phone, for the top of a benchmark's JSON. */
    Map<String, Object> device() {
        Map<String, Object> device = new LinkedHashMap<>();
        device.put("model", Build.MANUFACTURER + " " + Build.MODEL);
        device.put("hardware", Build.HARDWARE);
        device.put("android", Build.VERSION.RELEASE);
        device.put("abi", Build.SUPPORTED_ABIS[0]);
        device.put("cores", cpu.cores);
        device.put("features", cpu.features);
        List<Object> khz = new ArrayList<>();
        for (int core = 0; core < Runtime.getRuntime().availableProcessors(); core++) {
            String most = text("/sys/devices/system/cpu/cpu" + core + "/cpufreq/cpuinfo_max_freq").trim();
            khz.add(most.matches("[0-9]{1,9}") ? Integer.valueOf(most) : null);
        }
        device.put("max_khz", khz);
        device.put("libwavernn", WaveRnn.version());
        return device;
    }

    /** The same for people. */
    String deviceText() {
        return "phone        " + Build.MANUFACTURER + " " + Build.MODEL + ", Android " + Build.VERSION.RELEASE + ", "
                + Build.SUPPORTED_ABIS[0] + "\nCPU          " + cpu.cores + "\nfeatures     " + cpu.features;
    }

    private Source asset(String path) {
        AssetManager assets = getAssets();
        return new Source(path.substring(path.lastIndexOf('/') + 1)) {
            @Override
            public InputStream open() throws IOException {
                return assets.open(path);
            }

            @Override
            public boolean bundled() {
                return true;
            }
        };
    }

    /** A document that the user picked. */
    Source document(Uri uri, String name) {
        ContentResolver resolver = getContentResolver();
        return new Source(name) {
            @Override
            public InputStream open() throws IOException {
                InputStream in = resolver.openInputStream(uri);
                if (in == null) {
                    throw new FileNotFoundException(name);
                }
                return in;
            }
        };
    }

    /** A file of the system's; empty if it may not be read. */
    private static String text(String path) {
        byte[] bytes = new byte[1 << 16];
        int n = 0;
        try (InputStream in = new FileInputStream(path)) {
            for (int more; n < bytes.length && (more = in.read(bytes, n, bytes.length - n)) > 0;) {
                n += more;
            }
        } catch (IOException e) {
            return ""; // vendors hide some of them
        }
        return new String(bytes, 0, n, StandardCharsets.ISO_8859_1);
    }
}
