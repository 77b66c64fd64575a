package org.wavernn.demo;

import android.Manifest;
import android.content.ActivityNotFoundException;
import android.content.ContentResolver;
import android.content.Intent;
import android.database.Cursor;
import android.net.Uri;
import android.os.Bundle;
import android.provider.DocumentsContract;
import android.provider.OpenableColumns;
import android.view.View;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.CheckBox;
import android.widget.Spinner;
import android.widget.TextView;
import android.widget.Toast;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import org.wavernn.WaveRnn;
import org.wavernn.demo.core.Progress;
import org.wavernn.demo.core.Request;
import org.wavernn.demo.core.Session;
import org.wavernn.demo.core.Source;

/** Pick a voice and mels, or record yourself; hear them spoken, see how fast that was, and hear the recording. */
public final class MainActivity extends Screen {
    private static final int OPEN_VOICE = 1;
    private static final int OPEN_MEL = 2;
    private static final int SAVE = 3;
    private static final int MICROPHONE = 4;

    private ArrayAdapter<Source> voices;
    private ArrayAdapter<Source> mels;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        voices = fill(R.id.voice, app().voices);
        mels = fill(R.id.mel, app().mels);
        List<String> isas = new ArrayList<>();
        isas.add(getString(R.string.best));
        isas.addAll(WaveRnn.isas());
        fill(R.id.isa, isas);
        this.<Spinner>findView(R.id.mel).setOnItemSelectedListener(new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> parent, View view, int position, long id) {
                setText(R.id.words, app().words(mel()));
            }

            @Override
            public void onNothingSelected(AdapterView<?> parent) {
            }
        });
        onClick(R.id.open_voice, () -> pick(Intent.ACTION_OPEN_DOCUMENT, OPEN_VOICE));
        onClick(R.id.open_mel, () -> pick(Intent.ACTION_OPEN_DOCUMENT, OPEN_MEL));
        onClick(R.id.record, this::record);
        onClick(R.id.save, () -> pick(Intent.ACTION_CREATE_DOCUMENT, SAVE));
        onClick(R.id.stop, () -> app().session.stop());
        onClick(R.id.play, this::play);
        onClick(R.id.recording, () -> {
            Source recording = mel() == null ? null : app().recording(mel());
            if (recording == null) {
                say(R.string.no_recording);
            } else {
                app().session.playRecording(recording);
            }
        });
        onClick(R.id.benchmark, () -> {
            Request request = request();
            if (request != null) {
                app().benchRequest = request;
                startActivity(new Intent(this, BenchActivity.class));
            }
        });
    }

    @Override
    void refresh(Progress progress) {
        this.<SoundView>findView(R.id.sound).show(progress.picture(), this.<CheckBox>findView(R.id.spectrogram).isChecked());
        findViewById(R.id.save).setEnabled(app().session.canSave());
        setText(R.id.record, getString(app().session.recording() ? R.string.record_end : R.string.record));
        Source recording = app().session.takeRecording();
        if (recording != null) {
            choose(R.id.mel, mels, recording);
            play();
        }
    }

    private void play() {
        Request request = request();
        if (request != null) {
            app().session.play(request);
        }
    }

    private void record() {
        if (app().session.recording()) {
            app().session.endRecording();
        } else if (RecordMicrophone.allowed(this)) {
            startRecording();
        } else {
            requestPermissions(new String[] {Manifest.permission.RECORD_AUDIO}, MICROPHONE);
        }
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] answers) {
        if (request == MICROPHONE && answers.length > 0) { // none: the question was interrupted
            startRecording(); // which says it if the answer was no
        }
    }

    private void startRecording() {
        if (voice() == null) {
            say(R.string.nothing_open);
        } else {
            app().session.record(voice());
        }
    }

    /** What is chosen; null, after saying why, if a number is none. */
    private Request request() {
        String isa = (String) this.<Spinner>findView(R.id.isa).getSelectedItem();
        long seed;
        float temperature;
        try {
            BigInteger value = new BigInteger(number(R.id.seed));
            if (value.signum() < 0 || value.bitLength() > 64) {
                throw new NumberFormatException();
            }
            seed = value.longValue();
        } catch (NumberFormatException e) {
            say(R.string.bad_seed);
            return null;
        }
        try {
            temperature = Float.parseFloat(number(R.id.temperature));
        } catch (NumberFormatException e) {
            temperature = 0;
        }
        if (!(temperature > 0) || Float.isInfinite(temperature)) {
            say(R.string.bad_temperature);
            return null;
        }
        if (voice() == null || mel() == null) {
            say(R.string.nothing_open);
            return null;
        }
        return app().request(voice(), mel(), isa.equals(getString(R.string.best)) ? null : isa, seed, temperature);
    }

    private Source voice() {
        return (Source) this.<Spinner>findView(R.id.voice).getSelectedItem();
    }

    private Source mel() {
        return (Source) this.<Spinner>findView(R.id.mel).getSelectedItem();
    }

    private String number(int id) {
        return this.<TextView>findView(id).getText().toString().trim();
    }

    private <T> ArrayAdapter<T> fill(int spinner, List<T> items) {
        ArrayAdapter<T> adapter = new ArrayAdapter<>(this, android.R.layout.simple_spinner_item, items);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        this.<Spinner>findView(spinner).setAdapter(adapter);
        return adapter;
    }

    private void pick(String action, int request) {
        Intent intent = new Intent(action).addCategory(Intent.CATEGORY_OPENABLE);
        intent.setType(request == SAVE ? "audio/x-wav" : "*/*");
        if (request == SAVE) {
            intent.putExtra(Intent.EXTRA_TITLE, "wavernn.wav");
        }
        try {
            startActivityForResult(intent, request);
        } catch (ActivityNotFoundException e) {
            say(R.string.no_picker);
        }
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (result != RESULT_OK || data == null || data.getData() == null) {
            return;
        }
        Uri uri = data.getData();
        if (request == SAVE) {
            app().session.save(target(uri));
            return;
        }
        Source document = app().document(uri, name(uri));
        if (request == OPEN_VOICE) {
            choose(R.id.voice, voices, document);
        } else {
            choose(R.id.mel, mels, document);
        }
    }

    private void choose(int spinner, ArrayAdapter<Source> list, Source source) {
        list.add(source); // into app().voices or .mels: the adapter shows that list itself
        this.<Spinner>findView(spinner).setSelection(list.getCount() - 1);
    }

    private Session.Target target(Uri uri) {
        ContentResolver resolver = getApplicationContext().getContentResolver();
        return new Session.Target(name(uri)) {
            @Override
            public OutputStream open() throws IOException {
                OutputStream out = resolver.openOutputStream(uri, "wt"); // "w" alone leaves the end of a longer file
                if (out == null) {
                    throw new FileNotFoundException(name);
                }
                return out;
            }

            @Override
            public void discard() throws IOException {
                DocumentsContract.deleteDocument(resolver, uri);
            }
        };
    }

    /** A document's name, as its owner tells it. */
    private String name(Uri uri) {
        String[] columns = {OpenableColumns.DISPLAY_NAME};
        try (Cursor cursor = getContentResolver().query(uri, columns, null, null, null)) {
            if (cursor != null && cursor.moveToFirst() && cursor.getString(0) != null) {
                return cursor.getString(0);
            }
        } catch (RuntimeException e) {
            // other apps' providers may fail in any way; the file itself is still to be tried
        }
        return uri.getLastPathSegment();
    }

    private void say(int text) {
        Toast.makeText(this, text, Toast.LENGTH_LONG).show();
    }
}
