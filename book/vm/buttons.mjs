// The buttons in the text that type what stands there into Linux.

// Adds them all.
export function buttons(linux) {
    for (const figure of document.querySelectorAll("figure.session[data-session]")) {
        session(linux, figure);
    }
    for (const figure of document.querySelectorAll("figure.session[data-lacks]")) {
        const lacks = Object.assign(document.createElement("span"), { className: "lacks" });
        lacks.textContent = `on a Linux of your own: this page’s has no ${figure.dataset.lacks}`;
        figure.querySelector(".bar .copy").before(lacks);
    }
    for (const screen of document.querySelectorAll(".screen")) {
        if (!screen.closest("figure")) {
            fence(linux, screen);
        }
    }
    for (const kbd of document.querySelectorAll("kbd.run[data-run]")) {
        const [command, block] = [kbd.textContent, kbd.closest("p, ul, ol, figure") ?? kbd];
        const isHosts = kbd.dataset.run === "host" || command.startsWith("cargo ");
        kbd.after(small(command, () => isHosts ? linux.runOnHost([command], block) : linux.run(command, 0, block)));
    }
    for (const code of document.querySelectorAll("code.command[data-run]")) {
        const run = () => linux.runOnHost([code.textContent], code.closest("nav, figure"));
        code.nextElementSibling.after(button("Run", `Run ${code.textContent}`, run));
    }
}

// An empty line in a session begins its next part.
function session(linux, figure) {
    const { session, name } = figure.dataset;
    const parts = session.split(/\n\n+/).map((part) => part.split("\n").filter((line) => line));
    const part = figure.dataset.part ? figure.dataset.part - 1 : parts.length - 1;
    const run = button("Run", `Run the session ${name}`, () => linux.play(name, parts, part, figure));
    figure.querySelector(".bar .copy").before(run);
}

// All lines of a fence together, or those that Linux in a page can run.
function fence(linux, screen) {
    const lines = [...screen.querySelectorAll("kbd")];
    const ours = lines.filter((line) => "run" in line.dataset);
    const isInside = (line) => line.previousElementSibling?.textContent === "# ";
    if (ours.length === lines.length && ours.length > 0) {
        const all = ours.map((line) => line.textContent);
        const run = isInside(ours[0]) ? () => linux.run(all.join("\n"), 0, screen) : () => linux.runOnHost(all, screen);
        screen.querySelector(".bar .copy").before(button("Run", `Run ${all.join(", ")}`, run));
        return;
    }
    for (const line of ours) {
        line.after(small(line.textContent, () => linux.runOnHost([line.textContent], screen)));
    }
}

function button(text, label, run) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", className: "run-button", textContent: text });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", run);
    return made;
}

// In a sentence.
function small(command, run) {
    const made = button("▶", `Run ${command}`, run);
    made.title = "Run it in this page";
    made.classList.add("small");
    return made;
}
