// Types lines into the machine and tells what its agent said of it after each: node picture.mjs ASSETS
// prints for every line of stdin, `1> ` or `2> ` before it as in sessions, the agent's line once it
// fits: after ` ==> ` stands what JavaScript says of the state as `it`. How long that took goes to stderr.
// At the end comes {"share": how much of a processor the agent takes in a busy machine, in percent}.
import fs from "node:fs";
import { file, Pane, PROMPT, sleep, start } from "../vm/machine.mjs";

const LIMIT = 20_000;
const assets = process.argv[2];
const vm = await start(assets, { initial_state: file(`${assets}/state.bin.zst`) });
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

// How much of a processor this takes for a while, in percent: the machine's own time would count
// what others take from us.
async function share() {
    const before = process.cpuUsage();
    const begin = performance.now();
    await sleep(6000);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / (performance.now() - begin) / 10;
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
// With something to tell, and then without the agent.
panes[0].press("ping -i .2 127.0.0.1 > /dev/null\n");
const all = await share();
panes[1].press("kill -STOP $(pgrep -x agent)\n");
process.stdout.write(`${JSON.stringify({ share: all - await share() })}\n`);
process.exit();
