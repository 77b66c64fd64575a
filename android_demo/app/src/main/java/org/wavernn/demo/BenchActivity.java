package org.wavernn.demo;

import android.content.Intent;
import android.os.Bundle;
import android.view.WindowManager;
import org.wavernn.demo.core.Progress;
import org.wavernn.demo.core.Request;

/** Measures what MainActivity had chosen; shares the results as JSON. */
public final class BenchActivity extends Screen {
    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        Request request = app().benchRequest;
        if (request == null) { // the process was ended in the background; start from the first screen
            finish();
        }
        setContentView(R.layout.bench);
        setText(R.id.what, request == null ? "" : request.voice + ", " + request.mel + ", ISA "
                + (request.isa == null ? getString(R.string.best) : request.isa));
        onClick(R.id.bench_short, () -> app().session.benchmark(request, false, app().device()));
        onClick(R.id.bench_sustained, () -> app().session.benchmark(request, true, app().device()));
        onClick(R.id.stop, () -> app().session.stop());
        onClick(R.id.share, () -> startActivity(Intent.createChooser(new Intent(Intent.ACTION_SEND).setType("text/plain")
                .putExtra(Intent.EXTRA_SUBJECT, "wavernn benchmark")
                .putExtra(Intent.EXTRA_TEXT, app().session.progress().json()), getString(R.string.share))));
    }

    @Override
    void refresh(Progress progress) {
        findViewById(R.id.bench_short).setEnabled(!progress.active());
        findViewById(R.id.bench_sustained).setEnabled(!progress.active());
        findViewById(R.id.share).setEnabled(progress.json() != null);
        if (progress.active()) { // a screen that goes dark slows the cores down
            getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        } else {
            getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        }
    }
}
