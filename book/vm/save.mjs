// Boots the machine and saves its state, with a shell waiting on each pane:
// node save.mjs V86 BIOS KERNEL INITRAMFS STATE
import fs from "node:fs";
import { file, Pane, PROMPT, sleep, start } from "./machine.mjs";

const [v86, bios, kernel, initramfs, state] = process.argv.slice(2);

// Memory that holds nothing shall hold zeros: what was used last is overwritten through a tmpfs,
// and the kernel clears what is given back (init_on_free).
const CLEAR = [
    "echo 3 > /proc/sys/vm/drop_caches",
    "mount -t tmpfs -o size=100% clear /mnt",
    "head -c $(( $(sed -n 's/MemFree: *\\([0-9]*\\).*/\\1/p' /proc/meminfo) - 3000 ))k /dev/zero > /mnt/zeros",
    "umount /mnt",
].join("; ");

// How long it may take to a prompt, on a machine that does much else.
const BOOT = 300_000;

let console = "";
const vm = await start(v86, {
    bios: file(`${bios}/bios.bin`),
    vga_bios: file(`${bios}/vgabios-stdvga.bin`),
    bzimage: file(kernel),
    initrd: file(initramfs),
    cmdline: "console=ttyS0 tsc=reliable init_on_free=1 quiet",
});
vm.add_listener("serial0-output-byte", (byte) => { console += String.fromCharCode(byte); });
const panes = [0, 1].map((number) => new Pane(vm, number));
try {
    for (const pane of panes) {
        await pane.until(PROMPT, BOOT);
    }
    panes[1].press(` ${CLEAR}\n`);
    await panes[1].until(PROMPT);
} catch (error) {
    process.stderr.write(`the machine does not come up: ${error.message}\n${console}\n`);
    process.exit(1);
}
// Until nothing happens any more.
await sleep(1000);
await vm.stop();
fs.writeFileSync(state, new Uint8Array(await vm.save_state()));
process.exit();
