// Types lines into the machine and tells what its agent said of it after each: node picture.mjs ASSETS
// prints for every line of stdin, `1> ` or `2> ` before it as in sessions, the agent's line once it
// fits: after ` ==> ` stands what JavaScript says of the state as `it`. How long that took goes to stderr.
// At the end comes {"share": how much of the machine the agent takes while a container waits, in percent}.
import fs from "node:fs";
import { Pane, PROMPT, restore, sleep } from "../vm/machine.mjs";

const LIMIT = 20_000;
const assets = process.argv[2];
const vm = await restore(assets);
await new Promise((done) => vm.add_listener("emulator-started", done));
// For a while nobody reads what the agent says, and nothing waits for that.
const panes = [0, 1].map((number) => new Pane(vm, number));
for (const pane of panes) {
    pane.press("TERM=dumb exec bash --noediting --rcfile /etc/pane.bashrc\n");
    await pane.until(PROMPT);
}
await sleep(3000);
const agent = new Pane(vm, 2);
// What is left of a line that began before.
await agent.until("\n");

// The agent's lines until one fits.
async function until(fits) {
    const end = Date.now() + LIMIT;
    for (;;) {
        const line = await agent.until("\n");
        const it = JSON.parse(line);
        if (fits(it)) {
            return line;
        }
        if (Date.now() > end) {
            throw new Error(`nothing fits ${fits}, at last ${line}`);
        }
    }
}

// The agent's time and the machine's, in hundredths of a second.
async function times() {
    panes[1].press(" echo $(cut -d' ' -f14,15 /proc/$(pgrep -x agent)/stat) $(cut -d' ' -f1 /proc/uptime)\n");
    const [, user, system, up] = /\n(\d+) (\d+) (\S+)\n/.exec(await panes[1].until(PROMPT));
    return [Number(user) + Number(system), 100 * up];
}

for (const line of fs.readFileSync(0, "utf8").split("\n").filter((line) => line !== "")) {
    const [typed, fits] = line.split(" ==> ");
    const pane = panes[typed[0] - 1];
    const begin = Date.now();
    if (typed.slice(3) !== "") {
        pane.press(typed.slice(3) === "^C" ? "\x03" : `${typed.slice(3)}\n`);
    }
    const found = await until(new Function("it", `return ${fits}`));
    process.stderr.write(`${typed}: ${Date.now() - begin} ms\n`);
    process.stdout.write(`${found}\n`);
}
panes[0].press("cargo run -p step10 run sleep 12345\n");
await sleep(5000);
const [busy, up] = await times();
await sleep(10_000);
const [busyAfter, upAfter] = await times();
process.stdout.write(`${JSON.stringify({ share: (100 * (busyAfter - busy)) / (upAfter - up) })}\n`);
process.exit();
