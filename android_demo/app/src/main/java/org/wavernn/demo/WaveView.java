package org.wavernn.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;
import org.wavernn.demo.core.Envelope;

/** Draws an Envelope: the waveform from left to right, as far as it has come. */
public final class WaveView extends View {
    private final Paint wave = new Paint();
    private final Paint axis = new Paint();
    private Envelope envelope;

    public WaveView(Context context, AttributeSet attributes) {
        super(context, attributes);
        wave.setColor(context.getColor(R.color.wave));
        axis.setColor(context.getColor(R.color.axis));
    }

    /** Null draws silence. */
    void show(Envelope envelope) {
        this.envelope = envelope;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        float width = getWidth();
        float middle = getHeight() / 2f;
        canvas.drawLine(0, middle, width, middle, axis);
        if (envelope == null) {
            return;
        }
        float[] lines = envelope.lines();
        float column = width / Envelope.COLUMNS;
        wave.setStrokeWidth(Math.max(1, column));
        for (int i = 0; i < lines.length / 2; i++) {
            float x = (i + 0.5f) * column;
            canvas.drawLine(x, middle * (1 - lines[2 * i + 1]), x, middle * (1 - lines[2 * i]) + 1, wave);
        }
    }
}
