package org.wavernn.demo;

import android.Manifest;
import android.content.Context;
import android.content.pm.PackageManager;
import android.media.AudioFormat;
import android.media.AudioRecord;
import android.media.MediaRecorder;
import java.io.IOException;
import org.wavernn.demo.core.Microphone;

/** An AudioRecord with blocking reads. */
final class RecordMicrophone implements Microphone {
    private static final int[] USUAL_RATES = {48000, 44100}; // of the hardware; every phone has the latter

    private final Context context;
    private AudioRecord record;

    RecordMicrophone(Context context) {
        this.context = context;
    }

    static boolean allowed(Context context) {
        return context.checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED;
    }

    @Override
    public int start(int wantedRate) throws IOException {
        if (!allowed(context)) {
            throw new IOException("The microphone is not allowed: press Record again and allow it, "
                    + "or allow it in the phone's settings, Apps, WaveRNN, Permissions.");
        }
        record = open(wantedRate);
        for (int i = 0; record == null && i < USUAL_RATES.length; i++) {
            record = open(USUAL_RATES[i]);
        }
        if (record == null) {
            throw new IOException("This phone's microphone does not open.");
        }
        try {
            record.startRecording();
        } catch (IllegalStateException e) {
            throw new IOException("The microphone does not start: " + e.getMessage(), e);
        }
        if (record.getRecordingState() != AudioRecord.RECORDSTATE_RECORDING) {
            throw new IOException("Another app holds the microphone, such as a call.");
        }
        return record.getSampleRate();
    }

    /** null if the phone does not record at this rate. */
    private static AudioRecord open(int rate) {
        int bytes = AudioRecord.getMinBufferSize(rate, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_16BIT);
        if (bytes <= 0) {
            return null;
        }
        try {
            // VOICE_RECOGNITION: as flat as the phone can, without automatic gain. A buffer of half a second loses nothing.
            AudioRecord made = new AudioRecord(MediaRecorder.AudioSource.VOICE_RECOGNITION, rate, AudioFormat.CHANNEL_IN_MONO,
                    AudioFormat.ENCODING_PCM_16BIT, Math.max(bytes, rate));
            if (made.getState() == AudioRecord.STATE_INITIALIZED) {
                return made;
            }
            made.release();
        } catch (IllegalArgumentException e) {
            // not at this rate
        }
        return null;
    }

    @Override
    public int read(short[] pcm) throws IOException {
        int n = record.read(pcm, 0, pcm.length);
        if (n <= 0) {
            throw new IOException("The microphone failed (" + n + ").");
        }
        return n;
    }

    @Override
    public void close() {
        if (record != null) {
            record.release(); // stops it, too
        }
    }
}
