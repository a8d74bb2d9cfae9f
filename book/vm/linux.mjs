// The machine: loads what it is made of, and starts it.
import { inOrder } from "./answers.mjs";
import OPTIONS from "./options.mjs";

const at = (name) => new URL(name, import.meta.url).href;

// Nothing comes for so long: the connection is given up.
const STALLED = 20_000;
// What is loaded stays, for the next start.
const loaded = new Map();
// What starts a machine: v86's class, the terminal's, what types, and the files. `progress` hears of
// bytes, and `again` is added to the addresses of modules.
export async function load(progress, again) {
    let bytes = 0;
    const file = (name) => fetched(name, (more) => progress(bytes += more));
    const module = (name) => import(at(name) + again).catch(() => {
        throw new Error(`${name} cannot be loaded`);
    });
    const [{ V86 }, { Terminal }, { Pane }, typist, wasm, state] = await Promise.all([
        module("libv86.mjs"), module("xterm.mjs"), module("pane.mjs"), module("typist.mjs"),
        file("v86.wasm"), file("state.bin.zst"), style("xterm.css"),
    ]);
    return { V86, Terminal, Pane, typist, wasm, state };
}

// A file's bytes.
async function fetched(name, progress) {
    if (loaded.has(name)) {
        return loaded.get(name);
    }
    const stop = new AbortController();
    const chunks = [];
    let timer = null;
    const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), STALLED);
    };
    try {
        wait();
        const answer = await fetch(at(name), { signal: stop.signal });
        if (!answer.ok) {
            throw new Error(`the server says ${answer.status}`);
        }
        const reader = answer.body.getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
            wait();
            chunks.push(part.value);
            progress(part.value.length);
        }
    } catch (error) {
        const why = stop.signal.aborted ? `nothing has come for ${STALLED / 1000} seconds` : error.message;
        throw new Error(`${name} cannot be loaded (${why})`);
    } finally {
        clearTimeout(timer);
    }
    const buffer = await new Blob(chunks).arrayBuffer();
    loaded.set(name, buffer);
    return buffer;
}

// Puts the picture of the machine there, unless the page has one already.
export async function picture(place) {
    await Promise.all([import("./picture.mjs"), style("picture.css")]);
    document.querySelector("live-picture") ?? place.append(document.createElement("live-picture"));
}

function style(name) {
    const href = at(name);
    if (document.querySelector(`link[href="${href}"]`)) {
        return Promise.resolve();
    }
    return new Promise((done, failed) => {
        const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
        link.onload = done;
        link.onerror = () => {
            link.remove();
            failed(new Error(`${name} cannot be loaded`));
        };
        document.head.append(link);
    });
}

// Resolves with the machine when its processor runs. The files stay whole: it gets copies.
export function start({ V86, wasm, state }) {
    return new Promise((done, failed) => {
        const vm = new V86({
            ...OPTIONS,
            wasm_fn: async (imports) => {
                imports.env.microtick = ticks();
                try {
                    return (await WebAssembly.instantiate(wasm, imports)).instance.exports;
                } catch (error) {
                    failed(error);
                    throw error;
                }
            },
            initial_state: { buffer: state.slice(0) },
        });
        const late = setTimeout(() => {
            vm.destroy();
            failed(new Error(`it does not come up in ${STALLED / 1000} seconds`));
        }, STALLED);
        vm.add_listener("emulator-started", () => {
            inOrder(vm);
            clearTimeout(late);
            done(vm);
        });
    });
}

// The time in milliseconds, never the same twice. A browser's clock is coarse; between two of its ticks
// v86 guesses the processor's counter, right after a start by up to as long as the machine has been up.
// The counter would fall back then, and the machine's kernel waits for it to catch up.
function ticks() {
    let last = 0;
    return () => last = Math.max(performance.now(), last + 1e-5);
}

// What the reader can do something about is told as such.
export function reason(error) {
    if (error instanceof RangeError || /memory/i.test(error.message)) {
        return `there is too little memory (it needs 300 MB). Close other tabs or programs`;
    }
    return error.message;
}
