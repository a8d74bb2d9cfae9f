// <linux-terminal> becomes a terminal on a Linux of its own, which starts in the page on a click, or
// by itself where the reader has chosen so. All that is large is loaded then.
//
// What the machine's agent writes, line by line, comes from it as events "agent", with the line as
// detail; a <live-picture> is put into the element `picture`.
import megabytes from "./size.mjs";
import { buttons } from "./buttons.mjs";

// A pane that shows nothing for so long after a key has been pressed does not answer.
const SILENCE = 8000;
// What is only news is said for so long.
const NEWS = 10_000;
// The panes wait for so long for the picture.
const PICTURE = 5000;
// The agent's console.
const AGENT = 2;
const NAMES = ["Container", "Host"];
const NARROW = matchMedia("(max-width: 700px)");
const ALWAYS = "linux-always";

const INNER = `
<section class="linux" aria-label="Linux in this page">
    <div class="linux-bar">
        <button type="button" class="start"></button>
        <label class="always"><input type="checkbox"> always start it</label>
        <div class="tabs" role="group" aria-label="What is shown"></div>
        <div class="tools">
            <button type="button" class="check">Check</button>
            <details class="riddles"><summary>Riddles</summary><ul></ul></details>
            <button type="button" class="key" data-key="\x03" aria-label="Press Ctrl-C">^C</button>
            <button type="button" class="key" data-key="\x04" aria-label="Press Ctrl-D">^D</button>
            <button type="button" class="key" data-key="\x1a" aria-label="Press Ctrl-Z">^Z</button>
            <button type="button" class="reset">Reset</button>
            <button type="button" class="fold" aria-expanded="true">Hide</button>
        </div>
        <p class="status"><span role="status"></span> <span class="ways"></span></p>
    </div>
    <div class="linux-panes"></div>
</section>`;

class LinuxTerminal extends HTMLElement {
    connectedCallback() {
        if (this.moves) {
            return;
        }
        this.build();
        this.home = document.createComment("");
        this.after(this.home);
        this.abilities = [
            [document, "visibilitychange", () => this.sleepOrWake()],
            [window, "pagehide", () => this.leaves()],
            [window, "pageshow", ({ persisted }) => persisted && this.returns()],
            [document, "keydown", (event) => event.key === "F6" && this.turns(event)],
            [document, "focusin", ({ target }) => { this.last = this.contains(target) ? this.last : target; }],
            [NARROW, "change", () => this.dock()],
            // What is folded around it does not hide it.
            [window, "toggle", ({ target }) => !target.open && target !== this && target.contains(this) && this.stand(target)],
        ];
        for (const [target, event, handle] of this.abilities) {
            target.addEventListener(event, handle, true);
        }
        this.themes = new MutationObserver(() => this.panes.forEach((pane) => pane.paint()));
        this.themes.observe(document.documentElement, { attributeFilter: ["class"] });
        buttons(this);
        if (remembers() && !document.hidden) {
            this.start();
        }
    }

    disconnectedCallback() {
        if (this.moves) {
            return;
        }
        for (const [target, event, handle] of this.abilities) {
            target.removeEventListener(event, handle, true);
        }
        this.themes.disconnect();
        this.playing?.abort();
        this.end();
        document.documentElement.classList.remove("linux-docked");
    }

    build() {
        this.innerHTML = INNER;
        const find = (name) => this.querySelector(`.${name}`);
        this.panes = [];
        [this.status, this.ways, this.room, this.fold] =
            [this.querySelector("[role=status]"), find("ways"), find("linux-panes"), find("fold")];
        this.button = find("start");
        this.button.textContent = `Start Linux in this page (${megabytes} MB)`;
        this.button.addEventListener("click", () => this.start(true));
        const always = this.querySelector(".always input");
        always.checked = remembers();
        always.addEventListener("change", () => remember(always.checked));
        find("check").hidden = !this.dataset.step;
        find("check").addEventListener("click", () => this.run(`cargo workshop check ${this.dataset.step}`, 1));
        this.addRiddles(find("riddles"));
        for (const key of this.querySelectorAll(".key")) {
            key.addEventListener("click", () => this.panes[this.shown]?.press(key.dataset.key));
        }
        find("reset").addEventListener("click", () => this.reset());
        this.fold.addEventListener("click", () => this.dock(!this.folded));
        this.folded = false;
        // Whoever has chosen a pane sees it.
        this.tabs = [...NAMES, "Picture"].map((name, number) => this.addTab(find("tabs"), name, number));
        this.screens = NAMES.map((name) => this.addScreen(name));
        this.picture = document.createElement("div");
        this.picture.className = "linux-picture";
        this.room.append(this.picture);
        this.show(0);
        // mdBook's own keys, arrows and letters, are for the shell while one types to it.
        this.room.addEventListener("keydown", (event) => event.key !== "F6" && event.stopPropagation());
    }

    addTab(tabs, name, number) {
        const tab = document.createElement("button");
        Object.assign(tab, { type: "button", textContent: name });
        tab.addEventListener("click", () => this.show(number, true));
        tabs.append(tab);
        return tab;
    }

    addScreen(name) {
        const pane = document.createElement("div");
        pane.className = "pane";
        pane.innerHTML = `<p>${name}</p><div class="xterm-room"></div>`;
        this.room.append(pane);
        new ResizeObserver(() => this.panes.forEach((it) => it.fit())).observe(pane);
        return pane.lastChild;
    }

    addRiddles(menu) {
        const names = (this.dataset.riddles ?? "").split(" ").filter((name) => name);
        menu.hidden = names.length === 0;
        for (const name of names) {
            const play = document.createElement("button");
            Object.assign(play, { type: "button", textContent: name });
            play.addEventListener("click", async () => {
                menu.open = false;
                if (await this.run(`cargo workshop break ${this.dataset.step} ${name}`, 1)) {
                    // It asks.
                    this.panes[1].terminal.focus();
                }
            });
            menu.lastElementChild.append(document.createElement("li"));
            menu.lastElementChild.lastChild.append(play);
        }
    }

    // Resolves when there is a prompt: to true, or to false if it does not start, which is said.
    start(focus) {
        this.ready ??= this.begin(focus);
        return this.ready;
    }

    async begin(focus) {
        this.starting = true;
        try {
            await this.boot(focus);
            return true;
        } catch (error) {
            this.failures = (this.failures ?? 0) + 1;
            await this.end();
            const why = this.reason?.(error) ?? error.message;
            this.say(`Linux does not start in this page: ${why}.`, ["Try again", () => this.start(true)]);
            return false;
        } finally {
            this.starting = false;
        }
    }

    // The machine as it was at first, which one that starts is.
    async reset(focus = true) {
        this.playing?.abort();
        if (!this.starting) {
            await this.end();
        }
        return this.start(focus);
    }

    async boot(focus) {
        this.button.hidden = true;
        if (typeof WebAssembly !== "object") {
            throw new Error("this browser has no WebAssembly. Use another browser, or run the steps on Linux");
        }
        this.say("Linux is being loaded ...");
        // A browser may remember that a module could not be loaded: then it gets another address.
        const again = this.failures ? `?${this.failures}` : "";
        const linux = await import(`./linux.mjs${again}`).catch(() => {
            throw new Error("linux.mjs cannot be loaded");
        });
        this.reason = linux.reason;
        // It takes room beside the panes: it comes before they do, if it comes soon.
        const lacks = linux.picture(this.picture).then(() => "", () => "The picture of the kernel cannot be loaded.");
        const late = new Promise((done) => setTimeout(done, PICTURE));
        const attempt = this.attempt = {};
        const parts = await linux.load((bytes) => {
            if (this.attempt === attempt) {
                this.say(`Linux is being loaded: ${(bytes / 1e6).toFixed(1)} MB ...`);
            }
        }, again);
        Object.assign(this, { vm: await linux.start(parts), typist: parts.typist });
        await Promise.race([lacks, late]);
        this.open(parts.Pane, parts.Terminal);
        await this.prepare();
        this.sleepOrWake();
        this.watch = setInterval(() => this.listen(), 1000);
        this.say("");
        lacks.then((text) => text && this.attempt === attempt && this.say(text));
        this.meet();
        if (focus) {
            this.panes[0].terminal.focus();
        }
    }

    open(Pane, Terminal) {
        this.classList.add("runs");
        this.dock();
        this.panes = this.screens.map((screen, number) => {
            const pane = new Pane(this.vm, Terminal, number, screen, NAMES[number]);
            pane.terminal.onData((keys) => {
                // Who types takes over.
                this.playing?.abort();
                this.used = this.typed = true;
                pane.press(keys);
            });
            pane.terminal.textarea.addEventListener("focus", () => this.show(number));
            return pane;
        });
        this.panes.forEach((pane) => {
            pane.fit();
            pane.tell();
        });
        this.hear();
    }

    // The clock goes on, no two machines have the same random numbers, and each pane begins empty.
    async prepare() {
        const seed = crypto.getRandomValues(new Uint32Array(8)).join("");
        const begin = [
            ` echo ${seed} > /dev/urandom\n`,
            ` date -s @${Math.floor(Date.now() / 1000)} > /dev/null\n`,
        ];
        await Promise.all(this.panes.map((pane, number) => {
            pane.press(begin[number]);
            return pane.until(() => pane.prompts.length > 0 && pane.waits(), 10_000, "its shell does not answer");
        }));
    }

    // Hands on what the agent writes.
    hear() {
        let [decoder, rest] = [new TextDecoder(), ""];
        this.vm.add_listener(`virtio-console${AGENT}-output-bytes`, (bytes) => {
            const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
            rest = lines.pop();
            for (const line of lines) {
                this.dispatchEvent(new CustomEvent("agent", { detail: line.replace(/\r$/, "") }));
            }
        });
    }

    // Types a command, in the pane with this number. Resolves to true once it is typed.
    run(command, number, near) {
        return this.does(async (signal) => {
            this.used = true;
            this.show(number);
            await this.typist.type(this.panes[number], command, signal);
            return true;
        }, near);
    }

    // A command for the host goes where the host's shell waits.
    runOnHost(commands, near) {
        return this.does(async (signal) => {
            this.used = true;
            const number = /^\$ /.test(this.panes[0].line()) ? 0 : 1;
            this.show(number);
            for (const command of commands) {
                await this.typist.type(this.panes[number], command, signal);
            }
        }, near);
    }

    // Plays a session's lines from the beginning, on a new machine if something has been done on this
    // one, or goes on from its part before. Returns what was shown. What the reader has typed is not
    // thrown away unasked.
    async play(name, parts, part, near, anew = false) {
        const goesOn = part > 0 && this.played === `${name} ${part - 1}`;
        if (!goesOn && this.typed && !anew) {
            this.moveTo(near);
            this.say("The session needs Linux as it was at first. What you have done in it goes.", ["Begin anew", () => this.play(name, parts, part, near, true)]);
            return undefined;
        }
        return this.does(async (signal) => {
            if (!goesOn && this.used) {
                await this.end();
                if (!await this.start()) {
                    return undefined;
                }
                signal.throwIfAborted();
                this.news("For this session Linux has begun anew.");
            }
            this.used = true;
            this.played = null;
            const lines = parts.slice(goesOn ? part : 0, part + 1).flat();
            const shown = await this.typist.play(lines, this.panes, (number) => this.show(number), signal);
            this.played = `${name} ${part}`;
            return shown;
        }, near);
    }

    // Does something with the machine, one thing at a time; `near` is the block that it was asked from.
    async does(what, near) {
        this.playing?.abort();
        this.moveTo(near);
        if (!await this.start()) {
            return undefined;
        }
        // What was asked for while it started.
        this.playing?.abort();
        const playing = this.playing = new AbortController();
        this.classList.add("plays");
        this.say("");
        try {
            return await what(playing.signal);
        } catch (error) {
            if (!playing.signal.aborted) {
                this.say(`Typing has stopped: ${error.message}.`, ["Reset", () => this.reset()]);
            }
        } finally {
            if (this.playing === playing) {
                this.playing = null;
                this.classList.remove("plays");
            }
        }
        return undefined;
    }

    // One pane or the picture, where there is no room for all; and where keys go.
    show(number, focus) {
        this.shown = number;
        this.dataset.shown = number;
        if (number === 1) {
            this.dataset.panes = 2;
        }
        this.tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", index === number));
        // At once, before anything is typed.
        this.panes.forEach((pane) => pane.fit());
        if (focus) {
            this.panes[number]?.terminal.focus();
        }
    }

    // On a wide page it stays in sight while one reads; on a narrow one it stands in the text.
    dock(folded = this.folded) {
        this.folded = folded;
        const docked = this.classList.contains("runs") && !NARROW.matches;
        if (docked && this.home.previousSibling !== this) {
            this.stand(this.home);
        }
        document.documentElement.classList.toggle("linux-docked", docked);
        document.documentElement.classList.toggle("linux-folded", docked && folded);
        this.classList.toggle("folded", folded);
        this.fold.textContent = folded ? "Show" : "Hide";
        this.fold.setAttribute("aria-expanded", !folded);
    }

    // Where it stands in the text it comes to what is typed.
    moveTo(block) {
        this.dock(false);
        if (!block || !NARROW.matches) {
            return;
        }
        if (block.previousElementSibling !== this) {
            this.stand(block);
        }
        this.scrollIntoView();
    }

    // Stands before a place in the page; what runs in it runs on.
    stand(place) {
        this.moves = true;
        place.before(this);
        this.moves = false;
    }

    // F6 leads from the text to the pane, and back to where one was.
    turns(event) {
        if (this.panes.length === 0) {
            return;
        }
        event.preventDefault();
        if (this.contains(document.activeElement)) {
            (this.last?.isConnected ? this.last : document.querySelector("main a")).focus();
        } else {
            this.dock(false);
            this.panes[this.shown < 2 ? this.shown : 0].terminal.focus();
        }
    }

    sleepOrWake() {
        if (!this.vm) {
            return;
        }
        this.woken = performance.now();
        document.hidden ? this.vm.stop() : this.vm.run();
    }

    // A key that nothing answers for long: the machine hangs, or a program takes no keys.
    listen() {
        const now = performance.now();
        const silent = !document.hidden && this.panes.some((pane) => pane.pressed > pane.heard
            && now - Math.max(pane.pressed, this.woken) > SILENCE);
        if (silent !== Boolean(this.silent)) {
            this.silent = silent;
            this.say(silent ? "Linux does not answer. Wait, or begin anew:" : "", ["Reset", () => this.reset()]);
        }
    }

    // Other tabs have machines of their own, which is said once.
    meet() {
        this.channel ??= globalThis.BroadcastChannel && new BroadcastChannel("linux");
        this.channel?.addEventListener("message", ({ data }) => {
            if (data === "here?") {
                this.channel.postMessage("here");
            } else if (!this.met) {
                this.met = true;
                this.news("Linux also runs in another tab of this book: each has its own.");
            }
        });
        this.channel?.postMessage("here?");
    }

    leaves() {
        this.channel?.close();
        this.channel = null;
        this.vm?.stop();
    }

    // Back from another page: the browser has kept this one.
    returns() {
        if (this.vm) {
            this.sleepOrWake();
            this.meet();
            this.news("Linux goes on where it was.");
        }
    }

    // Says something for a while.
    news(text) {
        this.say(text);
        this.fades = setTimeout(() => this.say(""), NEWS);
    }

    // Says something, with a button that offers a way on.
    say(text, way) {
        clearTimeout(this.fades);
        this.status.textContent = text;
        this.ways.replaceChildren();
        if (text && way) {
            const button = document.createElement("button");
            Object.assign(button, { type: "button", textContent: way[0] });
            button.addEventListener("click", way[1]);
            this.ways.append(button);
        }
    }

    async end() {
        clearInterval(this.watch);
        this.channel?.close();
        this.panes.forEach((pane) => pane.end());
        const vm = this.vm;
        Object.assign(this, { panes: [], silent: false, played: null, used: false, typed: false });
        this.vm = this.ready = this.channel = this.attempt = undefined;
        if (vm) {
            await vm.stop();
            // What comes late, such as a file, would wake it.
            vm.v86.yield = () => {};
            await vm.destroy();
        }
    }
}

function remembers() {
    try {
        return localStorage.getItem(ALWAYS) === "yes";
    } catch {
        return false;
    }
}

function remember(yes) {
    try {
        localStorage.setItem(ALWAYS, yes ? "yes" : "no");
    } catch {
        // Then it is for this page only.
    }
}

customElements.define("linux-terminal", LinuxTerminal);
