// Types for the reader, line by line, as somebody would who waits for each prompt.
export const KEYS = { "^C": "\x03", "^D": "\x04", "^Z": "\x1a" };
export const BETWEEN = ["\n== first terminal\n", "\n== second terminal\n"];
// The last one that a step has named.
export const CGROUP = /\S*\/mydocker-\d+(?!.*\/mydocker-)/s;

// A shell has so long to prompt: a container may still be starting.
const PROMPT = 5000;
// What shows no prompt by then reads what is typed itself.
const READER = 1000;
// A command may take so long.
const COMMAND = 60_000;
// What goes on runs for so long before somebody looks at it.
const LOOK = 500;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Types one command where a shell waits; what was begun there goes.
export async function type(pane, command, signal) {
    await pane.settles(signal);
    const half = /[$#>] .+$/.test(pane.line());
    if (half) {
        pane.press("\x15");
    }
    const busy = "a command still runs there. Wait, or end it with ^C, and press the button again";
    await pane.until(() => pane.waits(), PROMPT, busy, signal);
    pane.press(KEYS[command] ?? `${command}\n`);
}

// Plays the lines of a session, `1> ` in the first pane and `2> ` in the second, and returns what
// they show, as in a recorded transcript. `turn` hears which pane comes next.
export async function play(lines, panes, turn, signal) {
    let [transcript, shown] = ["", null];
    // Each pane has its size before the first key.
    for (const number of new Set(lines.map((line) => line[0] - 1))) {
        turn(number);
    }
    turn(lines[0][0] - 1);
    for (const pane of panes) {
        await pane.settles(signal);
        pane.from = begin(pane);
    }
    for (const line of lines) {
        const number = line[0] - 1;
        if (shown !== null && shown !== number) {
            transcript += BETWEEN[number];
        }
        shown = number;
        turn(number);
        const cgroup = line.includes("{cgroup}") && await named(transcript, panes, signal);
        transcript += await plays(panes[number], line.slice(3).replaceAll("{cgroup}", cgroup), signal);
    }
    return transcript;
}

// Waits for the cgroup of the last container. Containers start in the first pane.
function named(transcript, [pane], signal) {
    const seen = () => transcript + pane.text(pane.from, pane.position());
    const cgroup = () => seen().match(CGROUP)?.[0];
    return pane.until(cgroup, PROMPT, "no cgroup is named", signal);
}

// The beginning of the line that the cursor is in.
function begin(pane) {
    return { ...pane.position(), column: 0 };
}

// A line, and what the pane shows from its prompt to the next one.
async function plays(pane, line, signal) {
    // A program that reads what is typed has no prompt.
    await pane.until(() => pane.waits(), READER, "", signal).catch(() => signal?.throwIfAborted());
    const [{ from }, typed] = [pane, begin(pane)];
    const goesOn = line.endsWith(" ...");
    const text = goesOn ? line.slice(0, -4) : line;
    pane.prompts = [];
    pane.press(KEYS[text] ?? `${text}\n`);
    if (goesOn) {
        // A step says something when it starts: before there is nothing to look at.
        const lines = text.startsWith("cargo run -p step") ? 1 : 0;
        const written = () => pane.row() >= pane.rowBelow(typed) + lines;
        await pane.until(written, COMMAND, `nothing is shown of ${text}`, signal);
        await sleep(LOOK);
        pane.from = pane.below(typed);
    } else {
        pane.from = await pane.until(() => pane.prompts.shift(), COMMAND, `${text} does not end`, signal);
    }
    return pane.text(from, pane.from);
}
