// <linux-terminal> becomes a terminal on a Linux of its own, which starts in the page on a click.
import megabytes from "./size.mjs";
import OPTIONS from "./options.mjs";

const at = (name) => new URL(name, import.meta.url).href;
const [COLUMNS, ROWS] = [80, 24];

class LinuxTerminal extends HTMLElement {
    connectedCallback() {
        this.status = document.createElement("p");
        this.status.setAttribute("role", "status");
        this.button = document.createElement("button");
        this.button.textContent = `Start Linux in this page (${megabytes} MB)`;
        this.button.addEventListener("click", () => this.start());
        this.screen = document.createElement("div");
        // mdBook's own keys, arrows and letters, are for the shell while one types to it.
        this.screen.addEventListener("keydown", (event) => event.stopPropagation());
        this.replaceChildren(this.button, this.status, this.screen);
        this.watch = () => (document.hidden ? this.vm?.stop() : this.vm?.run());
        document.addEventListener("visibilitychange", this.watch);
    }

    disconnectedCallback() {
        document.removeEventListener("visibilitychange", this.watch);
        this.end();
    }

    // Resolves when there is a prompt. What goes wrong is said in a line, and can be tried again.
    start() {
        this.ready ??= this.boot().catch(async (error) => {
            await this.end();
            this.say(`Linux does not start in this page: ${error.message}. Try it again, or in another browser.`);
            this.button.hidden = false;
        });
        return this.ready;
    }

    // The machine as it was at first.
    async reset() {
        await this.end();
        return this.start();
    }

    async boot() {
        this.button.hidden = true;
        if (typeof WebAssembly !== "object") {
            throw new Error("this browser has no WebAssembly");
        }
        this.say("Linux is being loaded ...");
        const [{ V86 }, { Terminal }] = await Promise.all(
            [import(at("libv86.mjs")), import(at("xterm.mjs")), style(at("xterm.css"))],
        );
        this.vm = new V86({
            ...OPTIONS,
            wasm_path: at("v86.wasm"),
            initial_state: { url: at("state.bin.zst") },
        });
        this.vm.add_listener("virtio-console2-output-bytes", lines((detail) => {
            this.dispatchEvent(new CustomEvent("agent", { detail }));
        }));
        await this.started();
        this.open(Terminal);
        this.type(1, ` date -s @${Math.floor(Date.now() / 1000)}; echo ${crypto.randomUUID()} > /dev/urandom; printf "\\033c"\n`);
        // The shell draws its prompt again.
        this.type(0, "\x0c");
        this.say("");
    }

    started() {
        const size = (bytes) => (bytes / 1e6).toFixed(1);
        return new Promise((done, failed) => {
            this.vm.add_listener("emulator-started", done);
            this.vm.add_listener("download-error", ({ file_name }) => failed(new Error(`cannot load ${file_name}`)));
            this.vm.add_listener("download-progress", ({ loaded }) => this.say(`Linux is being loaded: ${size(loaded)} MB ...`));
        });
    }

    open(Terminal) {
        this.terminal = new Terminal({ cols: COLUMNS, rows: ROWS, fontSize: 14 });
        this.terminal.open(this.screen);
        this.vm.add_listener("virtio-console0-output-bytes", (bytes) => this.terminal.write(bytes));
        this.terminal.onData((keys) => this.type(0, keys));
        // v86 sends the two numbers in the order that the kernel does not expect.
        this.vm.bus.send("virtio-console0-resize", [ROWS, COLUMNS]);
        this.terminal.focus();
    }

    type(console, keys) {
        this.vm.bus.send(`virtio-console${console}-input-bytes`, new TextEncoder().encode(keys));
    }

    say(text) {
        this.status.textContent = text;
    }

    async end() {
        this.terminal?.dispose();
        await this.vm?.destroy();
        this.vm = this.terminal = this.ready = undefined;
    }
}

// Passes on what comes in pieces as lines.
function lines(each) {
    const decoder = new TextDecoder();
    let text = "";
    return (bytes) => {
        const all = (text + decoder.decode(bytes, { stream: true })).split("\n");
        text = all.pop();
        all.forEach(each);
    };
}

function style(href) {
    return new Promise((done, failed) => {
        const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
        link.onload = done;
        link.onerror = () => failed(new Error("cannot load xterm.css"));
        document.head.append(link);
    });
}

customElements.define("linux-terminal", LinuxTerminal);
