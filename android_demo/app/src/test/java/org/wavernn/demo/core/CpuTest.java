package org.wavernn.demo.core;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class CpuTest {
    @Test
    public void bigAndLittleCoresAreCounted() {
        String core = "processor\t: 0\nFeatures\t: fp asimd evtstrm asimdhp asimddp\nCPU implementer\t: 0x41\nCPU part\t: %s\n\n";
        StringBuilder text = new StringBuilder();
        for (String part : new String[] {"0xd05", "0xd05", "0xd0b", "0xfff"}) {
            text.append(String.format(core, part));
        }
        Cpu cpu = Cpu.parse(text + "Hardware\t: Some Board\n");
        assertEquals("2 x Cortex-A55, 1 x Cortex-A76, 1 x part 0xfff of 0x41", cpu.cores);
        assertEquals("asimd asimdhp asimddp", cpu.features);
    }

    @Test
    public void otherMakersPartsAreNotArms() {
        assertEquals("1 x part 0xd05 of 0x51", Cpu.parse("CPU implementer : 0x51\nCPU part : 0xd05\n").cores);
    }

    @Test
    public void aHiddenFileIsUnknown() {
        assertEquals("unknown", Cpu.parse("").cores);
        assertEquals("unknown", Cpu.parse("").features);
    }
}
