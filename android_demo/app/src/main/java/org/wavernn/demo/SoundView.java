package org.wavernn.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.graphics.Rect;
import android.util.AttributeSet;
import android.view.View;
import org.wavernn.demo.core.Envelope;
import org.wavernn.demo.core.Picture;
import org.wavernn.demo.core.Spectrogram;

/**
 * Draws a Picture: the waveform of the clip from left to right, as far as it has come, or the spectrogram of its last
 * seconds, which scrolls. Nothing is allocated while it draws.
 */
public final class SoundView extends View {
    private final Paint wave = new Paint();
    private final Paint axis = new Paint();
    private final Paint smooth = new Paint(Paint.FILTER_BITMAP_FLAG);
    private final float[] lines = new float[2 * Envelope.COLUMNS];
    private final int[] pixels = new int[Spectrogram.ROWS * Spectrogram.COLUMNS];
    private final Bitmap bitmap = Bitmap.createBitmap(Spectrogram.COLUMNS, Spectrogram.ROWS, Bitmap.Config.ARGB_8888);
    private final Rect whole = new Rect();
    private Picture picture;
    private boolean spectrogram;
    private int nColumns = -1; // of the spectrogram in the bitmap

    public SoundView(Context context, AttributeSet attributes) {
        super(context, attributes);
        wave.setColor(context.getColor(R.color.wave));
        axis.setColor(context.getColor(R.color.axis));
    }

    /** Null draws silence. */
    void show(Picture picture, boolean spectrogram) {
        if (picture != this.picture) {
            nColumns = -1;
        }
        this.picture = picture;
        this.spectrogram = spectrogram;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        if (picture != null && spectrogram) {
            drawSpectrogram(canvas);
        } else {
            drawWaveform(canvas);
        }
    }

    private void drawSpectrogram(Canvas canvas) {
        int now = picture.spectrogram.read(pixels, nColumns);
        if (now != nColumns) {
            bitmap.setPixels(pixels, 0, Spectrogram.COLUMNS, 0, 0, Spectrogram.COLUMNS, Spectrogram.ROWS);
            nColumns = now;
        }
        whole.set(0, 0, getWidth(), getHeight());
        canvas.drawBitmap(bitmap, null, whole, smooth);
    }

    private void drawWaveform(Canvas canvas) {
        float width = getWidth();
        float middle = getHeight() / 2f;
        canvas.drawLine(0, middle, width, middle, axis);
        int n = picture == null ? 0 : picture.envelope.read(lines);
        float column = width / Envelope.COLUMNS;
        wave.setStrokeWidth(Math.max(1, column));
        for (int i = 0; i < n; i++) {
            float x = (i + 0.5f) * column;
            canvas.drawLine(x, middle * (1 - lines[2 * i + 1]), x, middle * (1 - lines[2 * i]) + 1, wave);
        }
    }
}
