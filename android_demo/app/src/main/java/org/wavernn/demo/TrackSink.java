package org.wavernn.demo;

import android.content.BroadcastReceiver;
import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.media.AudioAttributes;
import android.media.AudioFormat;
import android.media.AudioManager;
import android.media.AudioTrack;
import android.os.SystemClock;
import java.io.IOException;
import org.wavernn.demo.core.AudioSink;

/**
 * An AudioTrack in stream mode with blocking writes. It takes the audio focus while it plays; when another app takes it
 * or the headphones go, it calls `lost`; after its end never, or the next job would be stopped.
 */
final class TrackSink implements AudioSink {
    private static final int POLL_MS = 10;
    private static final int PATIENCE_MS = 1000; // with an output that does not move

    private final Context context;
    private final AudioManager manager;
    private final AudioManager.OnAudioFocusChangeListener focus;
    private final BroadcastReceiver unplugged;
    private final Object lock = new Object(); // of track and stopped: stop() comes from other threads
    private AudioTrack track;
    private boolean stopped;
    private boolean registered;
    private int written;

    TrackSink(Context context, Runnable lost) {
        this.context = context;
        manager = (AudioManager) context.getSystemService(Context.AUDIO_SERVICE);
        focus = change -> {
            if (change < 0 && !isStopped()) { // any kind of loss: speech that is ducked cannot be judged
                lost.run();
            }
        };
        unplugged = new BroadcastReceiver() {
            @Override
            public void onReceive(Context context, Intent intent) {
                if (!isStopped()) {
                    lost.run();
                }
            }
        };
    }

    @Override
    @SuppressWarnings("deprecation") // AudioFocusRequest is of API 26
    public void start(int sampleRate) throws IOException {
        int granted = manager.requestAudioFocus(focus, AudioManager.STREAM_MUSIC, AudioManager.AUDIOFOCUS_GAIN_TRANSIENT);
        if (granted != AudioManager.AUDIOFOCUS_REQUEST_GRANTED) {
            throw new IOException("Another app holds the audio output, such as a call.");
        }
        context.registerReceiver(unplugged, new IntentFilter(AudioManager.ACTION_AUDIO_BECOMING_NOISY));
        registered = true;
        int bytes = AudioTrack.getMinBufferSize(sampleRate, AudioFormat.CHANNEL_OUT_MONO, AudioFormat.ENCODING_PCM_16BIT);
        if (bytes <= 0) {
            throw new IOException("This phone cannot play " + sampleRate + " Hz.");
        }
        try {
            AudioTrack made = new AudioTrack.Builder()
                    .setAudioAttributes(new AudioAttributes.Builder().setUsage(AudioAttributes.USAGE_MEDIA)
                            .setContentType(AudioAttributes.CONTENT_TYPE_SPEECH).build())
                    .setAudioFormat(new AudioFormat.Builder().setEncoding(AudioFormat.ENCODING_PCM_16BIT)
                            .setSampleRate(sampleRate).setChannelMask(AudioFormat.CHANNEL_OUT_MONO).build())
                    .setTransferMode(AudioTrack.MODE_STREAM)
                    .setBufferSizeInBytes(bytes) // the least there is: sound starts when it is full
                    .build();
            synchronized (lock) {
                track = made;
                if (!stopped) {
                    track.play();
                }
            }
        } catch (UnsupportedOperationException | IllegalArgumentException | IllegalStateException e) {
            throw new IOException("The audio output does not open: " + e.getMessage(), e);
        }
    }

    @Override
    public void write(short[] pcm, int n) throws IOException {
        for (int done = 0; done < n && !isStopped();) {
            int wrote = track.write(pcm, done, n - done, AudioTrack.WRITE_BLOCKING);
            if (isStopped()) {
                return; // stop() cut it short
            }
            if (wrote <= 0) {
                throw new IOException("The audio output failed (" + wrote + ").");
            }
            done += wrote;
            written += wrote;
        }
    }

    @Override
    public void drain() throws IOException {
        // a buffer of silence pushes the last samples out, and starts a clip that is shorter than the buffer
        short[] silence = new short[track.getBufferSizeInFrames()];
        write(silence, silence.length);
        int position = -1;
        for (int waited = 0; waited < PATIENCE_MS && position < written && !isStopped(); waited += POLL_MS) {
            int now = track.getPlaybackHeadPosition();
            if (now != position) {
                position = now;
                waited = 0;
            }
            SystemClock.sleep(POLL_MS);
        }
    }

    @Override
    public void stop() {
        synchronized (lock) {
            stopped = true;
            if (track != null) {
                track.pause(); // a blocked write returns
                track.flush();
            }
        }
    }

    @Override
    @SuppressWarnings("deprecation")
    public void close() {
        synchronized (lock) {
            if (track != null) {
                track.release();
                track = null;
            }
            stopped = true;
        }
        if (registered) {
            context.unregisterReceiver(unplugged);
        }
        manager.abandonAudioFocus(focus);
    }

    private boolean isStopped() {
        synchronized (lock) {
            return stopped;
        }
    }
}
