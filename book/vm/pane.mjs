// A pane: a terminal on one of the machine's consoles. It knows when its shell prompts, since before
// each prompt comes a character that terminals do not show.
const PROMPT = 0x1e;

// As in the recorded sessions.
const COLUMNS = 80;
// Keys that are pressed within so many milliseconds go together: the console takes sixteen messages
// until the machine has read one, and loses those that come then.
const TOGETHER = 10;
// Who does not draw itself anew has been told by now, in milliseconds.
const SETTLED = 300;
// The letters' size, in pixels.
const [SMALL, LARGE] = [12, 14];

// A line that ends as prompts do.
const WAITS = /(^|[^ ] ?)[$#>] $/;

export class Pane {
    constructor(vm, Terminal, console, screen, name) {
        this.vm = vm;
        this.console = console;
        this.waiting = new Set();
        this.prompts = [];
        this.keys = "";
        this.heard = 0;
        this.terminal = new Terminal({
            cols: COLUMNS, rows: 24, scrollback: 2000, fontSize: SMALL, lineHeight: 1.1, screenReaderMode: true,
            fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono-font"),
            theme: colours(),
        });
        this.terminal.open(screen);
        this.terminal.textarea.setAttribute("aria-label", `${name}: Linux. F6 leaves it.`);
        // Keys that lead out of it and back are the page's.
        this.terminal.attachCustomKeyEventHandler((event) => event.key !== "F6");
        this.listen = (bytes) => this.takes(bytes.slice());
        vm.add_listener(`virtio-console${console}-output-bytes`, this.listen);
        this.from = this.position();
    }

    // Shows bytes, and notes where prompts begin. What comes before the first is of no interest.
    takes(bytes) {
        this.heard = performance.now();
        let from = 0;
        if (!this.shows) {
            from = bytes.indexOf(PROMPT);
            if (from < 0) {
                return;
            }
            this.shows = true;
        }
        for (let at = bytes.indexOf(PROMPT); at >= 0; at = bytes.indexOf(PROMPT, from)) {
            this.terminal.write(bytes.subarray(from, at), () => {
                this.prompts.push(this.position());
                // Nobody asks for those before the last ones.
                this.prompts.splice(0, this.prompts.length - 9);
            });
            from = at + 1;
        }
        this.terminal.write(bytes.subarray(from), () => this.waiting.forEach((look) => look()));
    }

    press(keys) {
        this.pressed = performance.now();
        this.keys += keys;
        this.sending ??= setTimeout(() => {
            this.vm.bus.send(`virtio-console${this.console}-input-bytes`, new TextEncoder().encode(this.keys));
            Object.assign(this, { keys: "", sending: null });
        }, TOGETHER);
    }

    // As many columns and rows as fit; for all columns the letters may become smaller.
    fit() {
        const { terminal } = this;
        const screen = terminal.element?.querySelector(".xterm-screen");
        const room = terminal.element?.parentElement;
        // What nobody sees the terminal draws later: until then its old size would be measured.
        const seen = screen?.clientWidth && room.clientHeight && getComputedStyle(room).visibility !== "hidden";
        const size = `${room?.clientWidth} ${room?.clientHeight}`;
        if (!seen || size === this.fitted) {
            return;
        }
        this.fitted = size;
        const now = terminal.options.fontSize;
        const [cell, line] = [screen.clientWidth / terminal.cols / now, screen.clientHeight / terminal.rows / now];
        const letters = Math.max(SMALL, Math.min(LARGE, Math.floor((room.clientWidth - 20) / cell / COLUMNS)));
        const columns = Math.max(20, Math.min(COLUMNS, Math.floor((room.clientWidth - 20) / cell / letters)));
        const rows = Math.max(4, Math.floor(room.clientHeight / line / letters));
        terminal.options.fontSize = letters;
        if (columns !== terminal.cols || rows !== terminal.rows) {
            terminal.resize(columns, rows);
            this.tell();
        }
    }

    // v86 sends the two numbers in the order that the kernel does not expect.
    tell() {
        this.told = performance.now();
        const { rows, cols } = this.terminal;
        this.vm.bus.send(`virtio-console${this.console}-resize`, [rows, cols]);
    }

    // Resolves when `holds` does; what it says is the result.
    until(holds, limit, what, signal) {
        return new Promise((done, failed) => {
            const end = (settle, value) => {
                clearTimeout(late);
                this.waiting.delete(look);
                signal?.removeEventListener("abort", stopped);
                settle(value);
            };
            const look = () => {
                const value = holds();
                if (value) {
                    end(done, value);
                }
            };
            const stopped = () => end(failed, new Error("stopped"));
            const late = setTimeout(() => end(failed, new Error(what)), limit);
            if (signal?.aborted) {
                return stopped();
            }
            signal?.addEventListener("abort", stopped);
            this.waiting.add(look);
            look();
        });
    }

    // Resolves when whoever runs there has drawn itself anew for the size that it was told; most do.
    settles(signal) {
        return this.until(() => this.heard > this.told, SETTLED, "", signal).catch(() => signal?.throwIfAborted());
    }

    // The line that is being written.
    line() {
        const buffer = this.terminal.buffer.active;
        return buffer.getLine(buffer.baseY + buffer.cursorY)?.translateToString(false, 0, buffer.cursorX) ?? "";
    }

    // Whether a shell waits for a command.
    waits() {
        return WAITS.test(this.line());
    }

    // Where the next letter is written; it moves with what is above it.
    position() {
        return { mark: this.terminal.registerMarker(0), column: this.terminal.buffer.active.cursorX };
    }

    // What is shown from one position to another; a line that was wrapped is one.
    text(from, to) {
        const buffer = this.terminal.buffer.active;
        let text = "";
        for (let row = from.mark.line; row <= to.mark.line; row++) {
            const line = buffer.getLine(row);
            const end = row === to.mark.line ? to.column : undefined;
            const runs = row < to.mark.line && buffer.getLine(row + 1)?.isWrapped;
            const begin = row === from.mark.line ? from.column : 0;
            text += row > from.mark.line && !line.isWrapped ? "\n" : "";
            text += line.translateToString(!runs && end === undefined, begin, end);
        }
        return text;
    }

    // The row that the cursor is in.
    row() {
        const buffer = this.terminal.buffer.active;
        return buffer.baseY + buffer.cursorY;
    }

    // The row of the line after the one at a position.
    rowBelow({ mark }) {
        let row = mark.line + 1;
        while (this.terminal.buffer.active.getLine(row)?.isWrapped) {
            row += 1;
        }
        return row;
    }

    // Where that line begins.
    below(position) {
        const offset = this.rowBelow(position) - this.row();
        return { mark: this.terminal.registerMarker(offset), column: 0 };
    }

    paint() {
        this.terminal.options.theme = colours();
    }

    end() {
        clearTimeout(this.sending);
        this.vm.remove_listener(`virtio-console${this.console}-output-bytes`, this.listen);
        this.terminal.dispose();
    }
}

// The page's own colours; of the sixteen of terminals those that can be read on them.
function colours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [background, foreground, quiet] = ["--screen", "--fg", "--quiet"].map(colour);
    const [green, red, blue, yellow, magenta, cyan] =
        ["--added-edge", "--deleted-edge", "--typed", "--function", "--keyword", "--type"].map(colour);
    return {
        background, foreground, cursor: foreground, cursorAccent: background, selectionBackground: `${blue}55`,
        black: foreground, white: quiet, brightBlack: quiet, brightWhite: foreground,
        green, red, blue, yellow, magenta, cyan, brightGreen: green, brightRed: red, brightBlue: blue,
        brightYellow: yellow, brightMagenta: magenta, brightCyan: cyan,
    };
}
