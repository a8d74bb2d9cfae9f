// The machine, for Node: what save.mjs, which makes its state, and play.mjs, which uses it, share.
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import { inOrder } from "./answers.mjs";
import OPTIONS from "./options.mjs";

// Comes before each prompt.
export const PROMPT = "\x1e";

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// A file as v86 takes it.
export function file(path) {
    const bytes = fs.readFileSync(path);
    return { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
}

// Starts a machine with v86 from the folder `v86`.
export async function start(v86, options) {
    const { V86 } = await import(pathToFileURL(`${v86}/libv86.mjs`));
    const vm = new V86({ wasm_path: `${v86}/v86.wasm`, ...OPTIONS, ...options });
    vm.add_listener("emulator-started", () => inOrder(vm));
    return vm;
}

// Starts a machine where it was saved.
export function restore(assets) {
    return start(assets, {
        initial_state: file(`${assets}/state.bin.zst`),
        filesystem: { baseurl: `${assets}/files/` },
    });
}

// One of the machine's consoles: 0 is the container's pane, 1 the host's.
export class Pane {
    constructor(vm, number) {
        this.vm = vm;
        this.number = number;
        this.shown = "";
        const decoder = new TextDecoder();
        vm.add_listener(`virtio-console${number}-output-bytes`, (bytes) => {
            this.shown += decoder.decode(bytes, { stream: true }).replaceAll("\r", "");
        });
    }

    press(keys) {
        this.vm.bus.send(`virtio-console${this.number}-input-bytes`, new TextEncoder().encode(keys));
    }

    // v86 sends the two numbers in the order that the kernel does not expect.
    resize(columns, rows) {
        this.vm.bus.send(`virtio-console${this.number}-resize`, [rows, columns]);
    }

    // Waits for a text, and returns what was shown up to it.
    async until(text, limit) {
        const at = await this.has(text, limit);
        const before = this.shown.slice(0, at);
        this.shown = this.shown.slice(at + text.length);
        return before;
    }

    // Waits for a text, and returns where it begins.
    async has(text, limit = 60_000) {
        for (const end = Date.now() + limit; Date.now() < end; await sleep(5)) {
            const at = this.shown.indexOf(text);
            if (at >= 0) {
                return at;
            }
        }
        throw new Error(`${JSON.stringify(text)} does not appear on pane ${this.number}. It shows: ${this.shown}`);
    }
}
