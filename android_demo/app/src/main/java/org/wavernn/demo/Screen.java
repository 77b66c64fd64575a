package org.wavernn.demo;

import android.app.Activity;
import android.os.Handler;
import android.os.Looper;
import android.view.View;
import android.widget.TextView;
import org.wavernn.demo.core.Progress;

/** A screen that shows the session's progress while it is visible, and stops it when the user leaves the app. */
abstract class Screen extends Activity {
    private static final int REFRESH_MS = 50;

    private final Handler handler = new Handler(Looper.getMainLooper());
    private final Runnable tick = this::tick;

    DemoApp app() {
        return (DemoApp) getApplication();
    }

    /** Shows what is new; called every REFRESH_MS. */
    abstract void refresh(Progress progress);

    @Override
    protected void onStart() {
        super.onStart();
        app().screenStarts();
        tick();
    }

    private void tick() {
        Progress progress = app().session.progress();
        setText(R.id.error, progress.error() == null ? "" : progress.error());
        setText(R.id.text, (progress.text() + "\n\n" + app().deviceText()).trim());
        findViewById(R.id.stop).setEnabled(progress.active());
        refresh(progress);
        handler.postDelayed(tick, REFRESH_MS);
    }

    @Override
    protected void onStop() {
        super.onStop();
        handler.removeCallbacks(tick);
        app().screenStops(isChangingConfigurations());
    }

    void onClick(int id, Runnable action) {
        findViewById(id).setOnClickListener((View view) -> action.run());
    }

    /** Leaves a text that is the same alone: setting it would undo the user's selection. */
    void setText(int id, String text) {
        TextView view = findView(id);
        if (!view.getText().toString().equals(text)) {
            view.setText(text);
        }
    }

    @SuppressWarnings("unchecked") // API 26's findViewById does this
    <T extends View> T findView(int id) {
        return (T) findViewById(id);
    }
}
