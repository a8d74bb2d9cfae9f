// Plays recorded sessions in the machine: node play.mjs ASSETS SESSION... prints what the panes
// showed, as the workshop's own player does; \x1f ends each. How long the machine took to come back
// goes to stderr.
import fs from "node:fs";
import { Pane, PROMPT, restore, sleep } from "./machine.mjs";
import { BETWEEN, CGROUP, KEYS } from "./typist.mjs";

const [assets, ...sessions] = process.argv.slice(2);
// Checks take a while on a busy machine.
const LONGEST = 600_000;

// A shell that edits no lines, as the sessions were recorded with.
const PLAIN = "TERM=dumb NO_COLOR=1 exec bash --noediting --rcfile /etc/pane.bashrc\n";

// The lines for cgroup v2, which is what the machine has.
function lines(session) {
    return session.split("\n")
        .filter((line) => line !== "" && !line.startsWith("v1 "))
        .map((line) => line.replace(/^v2 /, ""));
}

async function prompt(pane) {
    const end = Date.now() + 1000;
    while (!/[$#] $/.test(pane.shown) && Date.now() < end) {
        await sleep(5);
    }
    const shown = pane.shown;
    pane.shown = "";
    return shown;
}

// Types a line and returns what the pane shows from its prompt to the next one.
async function plays(pane, text) {
    const before = await prompt(pane);
    if (text.endsWith(" ...")) {
        pane.press(`${text.slice(0, -4)}\n`);
        const echo = await pane.until("\n");
        // A step says something when it starts: before there is nothing to look at.
        if (text.startsWith("cargo run -p step")) {
            await pane.has("\n", LONGEST);
        }
        await sleep(500);
        return `${before}${echo}\n`;
    }
    pane.press(KEYS[text] ?? `${text}\n`);
    return before + await pane.until(PROMPT, LONGEST);
}

// Waits for the cgroup of the last container. Containers start in the first pane.
async function named(transcript, [pane]) {
    for (const end = Date.now() + LONGEST; Date.now() < end; await sleep(5)) {
        const found = (transcript + pane.shown).match(CGROUP);
        if (found) {
            return found[0];
        }
    }
    throw new Error("no cgroup is named");
}

async function play(session) {
    const begin = Date.now();
    const vm = await restore(assets);
    const panes = [0, 1].map((number) => new Pane(vm, number));
    await new Promise((done) => vm.add_listener("emulator-started", done));
    for (const pane of panes) {
        pane.resize(80, 24);
        pane.press(PLAIN);
        await pane.until(PROMPT);
    }
    process.stderr.write(`ready after ${Date.now() - begin} ms\n`);
    let [transcript, shown] = ["", null];
    for (const line of lines(session)) {
        const number = line[0] - 1;
        if (shown !== null && shown !== number) {
            transcript += BETWEEN[number];
        }
        shown = number;
        const cgroup = line.includes("{cgroup}") && await named(transcript, panes);
        transcript += await plays(panes[number], line.slice(3).replaceAll("{cgroup}", cgroup));
    }
    await vm.destroy();
    return transcript.replaceAll(PROMPT, "");
}

for (const session of sessions) {
    process.stdout.write(`${await play(fs.readFileSync(session, "utf8"))}\x1f\n`);
}
process.exit();
