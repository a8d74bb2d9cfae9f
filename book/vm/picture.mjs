// <live-picture> draws what the agent in the machine tells: namespaces as rooms, the processes in
// them, cgroups against their limits, overlays, the network. It listens to the <linux-terminal> that
// its attribute `for` names, or to the nearest one. The format of a line: book/agent/src/lib.rs.

const VERSION = 1;
const KINDS = ["mnt", "uts", "pid", "net", "ipc", "user", "cgroup", "time"];

// So many equal processes, and more, become one row; and a room has so many rows at most.
const [EQUAL, ROWS] = [3, 14];

// What changes within so many milliseconds is told together.
const TOGETHER = 3000;

// A limit up to this is drawn as boxes to be counted.
const BOXES = 64;

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const safe = (text) => String(text).replace(/[&<>"]/g, (letter) => ESCAPES[letter]);
const each = (items, html) => items.map(html).join("");
const count = (number, word) => `${number} ${word}${number === 1 ? "" : word.endsWith("s") ? "es" : "s"}`;
const megabytes = (bytes) => `${(bytes / (1 << 20)).toFixed(1)} MB`;
const seconds = (microseconds) => `${(microseconds / 1e6).toFixed(1)} s`;

// What a line says, put in order: rooms in rooms. A room is where one set of namespaces is, and lies
// in the room of the nearest parent process whose namespaces it has all of, but for new ones.
function read(line) {
    const state = JSON.parse(line);
    if (state.v !== VERSION) {
        throw new Error(`the machine's agent speaks version ${state.v}, this page ${VERSION}`);
    }
    const host = { ns: {}, processes: [], rooms: [] };
    const rooms = new Map([["", host]]);
    const byPid = new Map(state.processes.map((process) => [process.pid, process]));
    for (const process of state.processes) {
        const key = Object.values(process.ns).join(" ");
        const room = rooms.get(key) ?? { ns: process.ns, processes: [], rooms: [] };
        rooms.set(key, room);
        room.processes.push(process);
        process.room = room;
    }
    const holds = (outer, inner) => outer !== inner
        && Object.entries(outer.ns).every(([kind, inode]) => inner.ns[kind] === inode);
    for (const room of rooms.values()) {
        if (room === host) continue;
        let outer = byPid.get(room.processes[0].parent);
        while (outer && !holds(outer.room, room)) outer = byPid.get(outer.parent);
        room.outer = outer?.room ?? host;
        room.outer.rooms.push(room);
        room.own = KINDS.filter((kind) => room.ns[kind] && room.ns[kind] !== room.outer.ns[kind]);
    }
    // One namespace in two rooms of which neither lies in the other.
    const within = (inner, outer) => inner && (inner === outer || within(inner.outer, outer));
    const all = [...rooms.values()];
    for (const room of all) {
        room.shared = (kind) => all.filter((other) => other.own?.includes(kind) && other.ns[kind] === room.ns[kind]
            && !within(other, room) && !within(room, other)).map((other) => other.processes[0].pid).join(", ");
    }
    return { ...state, room: host };
}

// A room's processes as rows: the tree, equal ones at its ends in one row.
function rows({ processes }) {
    const children = (parent) => processes.filter((process) => process.parent === parent);
    const found = [];
    const walk = (siblings, depth) => {
        const kinds = new Map();
        for (const process of siblings) {
            const key = children(process.pid).length ? process.pid : `${process.state === "Z"}${process.command}`;
            kinds.set(key, [...(kinds.get(key) ?? []), process]);
        }
        for (const equal of kinds.values()) {
            for (const row of equal.length < EQUAL ? equal.map((one) => [one]) : [equal]) {
                found.push({ processes: row, depth });
                walk(children(row[0].pid), depth + 1);
            }
        }
    };
    const here = new Set(processes.map(({ pid }) => pid));
    walk(processes.filter(({ parent }) => !here.has(parent)), 0);
    return found;
}

const range = (numbers) => numbers.length > 1 ? `${numbers[0]}–${numbers.at(-1)}` : `${numbers[0] ?? ""}`;

// A row's pids on the host, those inside, and what else is known.
function parts({ processes }) {
    const [{ command, state }] = processes;
    const inside = processes.map(({ pids }) => pids.slice(1).join(" › ")).filter((text) => text);
    const note = (processes.length > 1 ? ` <b>× ${processes.length}</b>` : "") + (state === "Z" ? " <i>ended, not yet waited for</i>" : "");
    return [range(processes.map(({ pid }) => pid)), range(inside), safe(command) + note];
}

function list(room) {
    const all = rows(room);
    const left = all.slice(ROWS).reduce((sum, { processes }) => sum + processes.length, 0);
    return `<ol>${each(all.slice(0, ROWS), (row) => {
        const [pid, inside, command] = parts(row);
        return `<li data-key="${row.processes[0].pid}"><span>${pid}</span><span>${inside && `<b>${inside}</b>`}</span><span>${"\u00a0\u00a0".repeat(row.depth)}${command}</span></li>`;
    })}</ol>${left ? `<p class="quiet">and ${count(left, "more process")}</p>` : ""}`;
}

// Where a room's processes are besides: those that are said of the host go without saying.
function facts({ processes }) {
    const of = (field, word) => [...new Set(processes.map((process) => process[field]))].filter((path) => path !== "/").map((path) => `${word} ${safe(path)}`);
    return [...of("root", "root directory"), ...of("cgroup", "in cgroup")].join(" · ");
}

const hostname = (state, ns) => safe(state.hostnames[ns.uts ?? state.host.uts] ?? "");

// Every kind of namespace has its place, in every room the same one.
function spaces(state, room) {
    return `<ul class="spaces">${each(KINDS.filter((kind) => state.host[kind]), (kind) => {
        const own = !room.own || room.own.includes(kind);
        const also = room.own && own && room.shared(kind);
        const what = own ? room.ns[kind] ?? state.host[kind] : room.ns[kind] ? "outer room’s" : "the host’s";
        return `<li data-key="${kind} ${what}" class="${room.own && own ? "own" : ""}"><b>${kind}</b> <span>${what}</span>`
            + `${own && kind === "uts" ? ` <q>${hostname(state, room.ns)}</q>` : ""}${also ? ` <em>also in the room of ${also}</em>` : ""}</li>`;
    })}</ul>`;
}

function drawRoom(state, room) {
    return `<section class="room" data-key="${room.processes[0].pid}">${spaces(state, room)}${list(room)}<p class="quiet">${facts(room)}</p>
        ${each(room.rooms, (inner) => drawRoom(state, inner))}</section>`;
}

function drawHost(state) {
    return `<section class="room host"><h3>Host</h3>${spaces(state, state.room)}
        <p class="heads quiet"><span>pid</span><span>inside</span><span>process</span></p>${list(state.room)}
        <p class="quiet">not shown: ${count(state.hidden, "process")} of the machine’s own, and the kernel’s threads</p>
        ${each(state.room.rooms, (room) => drawRoom(state, room))}</section>`;
}

// How full something is, in words: these go with every meter.
const words = {
    pids: ({ current, max, refused }) => max === null ? `${count(current, "process")}, no limit`
        : `${current} of ${max} processes${current >= max ? ": full" : ""}${refused ? `, ${count(refused, "fork")} refused` : ""}`,
    memory: ({ current, max, refused }) => `memory ${megabytes(current)}${max === null ? ", no limit" : ` of ${megabytes(max)}`}`
        + `${refused ? `, ${count(refused, "process")} killed for it` : ""}`,
    cpu: ({ max: [part, whole], used, refused }) => `CPU ${seconds(used ?? 0)} used, `
        + `${part === null ? "no limit" : `at most ${Math.round((100 * part) / whole)} % of one`}${refused ? `, held back ${count(refused, "time")}` : ""}`,
};
const meters = (cgroup) => Object.keys(words).filter((name) => cgroup[name]);

function meter(name, { current, max }) {
    if (!max || name === "cpu") return "";
    const full = current >= max ? " full" : "";
    if (name !== "pids" || max > BOXES) {
        return `<progress class="${full}" max="${max}" value="${current}"></progress>`;
    }
    const boxes = Array.from({ length: max }, (_, at) => `<i class="${at < current ? "taken" : ""}" data-key="${at}${at < current}"></i>`);
    return `<div class="boxes${full}">${boxes.join("")}</div>`;
}

function drawCgroup(cgroup) {
    return `<section class="card" data-key="${safe(cgroup.path)}"><h4>cgroup <code>${safe(cgroup.path)}</code></h4>
        ${each(meters(cgroup), (name) => `<div data-key="${name}"><p>${words[name](cgroup[name])}</p>${meter(name, cgroup[name])}</div>`)}</section>`;
}

// From above, as a process in there looks through the layers.
function drawOverlay({ ns, at, lower, upper, written }) {
    const name = (path) => path[0] === "-" ? `<del>${safe(path.slice(1))}</del> removed` : safe(path);
    return `<section class="card" data-key="overlay ${ns} ${safe(at)}"><h4>overlay in mnt ${ns}</h4><ol class="layers">
        <li><b>merged</b> <code>${safe(at)}</code> the layers below, seen as one</li>
        <li class="upper"><b>upper</b> <code>${safe(upper)}</code> ${written.length ? `holds ${written.map(name).join(", ")}` : "nothing written yet"}</li>
        ${each(lower, (path) => `<li><b>lower</b> <code>${safe(path)}</code> never written${path[0] === "/" ? "" : " (the path as mount was given it)"}</li>`)}</ol></section>`;
}

// Bridges with their ports, other veth pairs, and namespaces that lead nowhere. A pair is told once,
// from its end on the bridge or on the host.
function network({ links, host }) {
    const at = (peer) => peer && links.find(({ ns, index }) => ns === peer.ns && index === peer.index);
    const rank = (link) => (link.master ? 2e9 : 0) + (link.ns === host.net ? 1e9 : 0) - link.index;
    const pairs = links.filter(({ kind }) => kind === "veth").map((link) => ({ link, peer: at(link.peer) }))
        .filter(({ link, peer }) => !peer || rank(link) > rank(peer));
    const bridges = links.filter(({ kind }) => kind === "bridge").map((bridge) => ({
        bridge, ports: pairs.filter(({ link }) => link.ns === bridge.ns && link.master === bridge.index),
    }));
    const lone = pairs.filter(({ link }) => !link.master);
    const alone = links.filter(({ ns, kind }) => kind === "loopback" && ns !== host.net && links.filter((link) => link.ns === ns).length === 1);
    return { bridges, lone, alone };
}

const addresses = (link) => safe(link.addresses.join(" ") || "no address") + (link.up ? "" : ", down");
const place = (state, ns) => ns === state.host.net ? "host" : `net ${ns}`;

const nowhere = (state, lo) => `${place(state, lo.ns)} has only <b>${safe(lo.name)}</b>${lo.up ? "" : ", down"}: no way out`;

// A number that changes makes a new dot, which runs along the wire once.
function drawPair(state, { link, peer }) {
    return `<li data-key="${link.ns} ${link.index}"><span class="end"><b>${safe(link.name)}</b>${link.up ? "" : ", down"}</span>
        <span class="wire"><i data-key="to ${link.sent}"></i><i class="back" data-key="from ${link.received}"></i><small>→ ${link.sent} · ← ${link.received}</small></span>
        <span class="end there">${peer ? `<b>${safe(peer.name)}</b> ${addresses(peer)} <small>${place(state, peer.ns)}</small>` : "its other end is out of sight"}</span></li>`;
}

function drawNetwork(state) {
    const { bridges, lone, alone } = network(state);
    const pairs = (some) => `<ul class="pairs">${each(some, (pair) => drawPair(state, pair))}</ul>`;
    const html = each(bridges, ({ bridge, ports }) => `<p class="bridge"><b>${safe(bridge.name)}</b> bridge, ${addresses(bridge)} <small>${place(state, bridge.ns)}</small></p>${pairs(ports)}`)
        + (lone.length ? pairs(lone) : "") + each(alone, (lo) => `<p>${nowhere(state, lo)}</p>`);
    return html && `<section class="card" data-key="network"><h4>network, packets counted</h4>${html}</section>`;
}

const draw = (state) => `${drawHost(state)}<div class="cards">${each(state.cgroups, drawCgroup)}${each(state.overlays, drawOverlay)}${drawNetwork(state)}</div>`;

// The same as a list, for who hears it or would rather read.
function tell(state) {
    const tellRoom = (room) => {
        const own = room.own?.map((kind) => `${kind} ${room.ns[kind]}${kind === "uts" ? ` (hostname ${hostname(state, room.ns)})` : ""}${room.shared(kind) && ` (also in the room of ${room.shared(kind)})`}`);
        const all = each(rows(room), (row) => {
            const [pid, inside, command] = parts(row);
            return `<li>process ${pid}${inside && `, inside ${inside}`}: ${command}</li>`;
        });
        return `<li>${own ? `Room with its own ${own.join(", ")}` : `Host, hostname ${hostname(state, {})}`}${facts(room) && `; ${facts(room)}`}<ul>${all}${each(room.rooms, tellRoom)}</ul></li>`;
    };
    const pair = ({ link, peer }) => `<li>${safe(link.name)} leads to ${peer ? `${safe(peer.name)}, ${addresses(peer)}, in ${place(state, peer.ns)}` : "an end out of sight"}: packets sent ${link.sent}, received ${link.received}</li>`;
    const { bridges, lone, alone } = network(state);
    return `<p>A room is where processes have the same namespaces.</p><ul>${tellRoom(state.room)}
        ${each(state.cgroups, (cgroup) => `<li>cgroup ${safe(cgroup.path)}: ${meters(cgroup).map((name) => words[name](cgroup[name])).join("; ")}</li>`)}
        ${each(state.overlays, ({ ns, at, lower, upper, written }) => `<li>overlay on ${safe(at)} in mnt ${ns}: lower ${safe(lower.join(", "))}; upper ${safe(upper)}, ${written.length ? `written: ${safe(written.map((path) => path.replace(/^-/, "removed ")).join(", "))}` : "empty"}</li>`)}
        ${each(bridges, ({ bridge, ports }) => `<li>bridge ${safe(bridge.name)}, ${addresses(bridge)}<ul>${each(ports, pair)}</ul></li>`)}
        ${each(lone, pair)}${each(alone, (lo) => `<li>${nowhere(state, lo)}</li>`)}</ul>`;
}

// What has changed, in sentences.
function changes(before, now) {
    const things = ({ processes, cgroups, overlays, links }) => new Set([
        ...processes.flatMap(({ ns }) => Object.entries(ns).map(([kind, inode]) => `${kind} namespace ${inode}`)),
        ...cgroups.map(({ path }) => `cgroup ${path}`),
        ...overlays.map(({ at, ns }) => `overlay on ${at} in mnt ${ns}`),
        ...links.filter(({ kind }) => kind === "veth").map(({ name }) => `link ${name}`),
    ]);
    const [old, all] = [things(before), things(now)];
    const made = [...all].filter((thing) => !old.has(thing));
    const gone = [...old].filter((thing) => !all.has(thing));
    const first = now.processes.filter(({ pids, ns }) => pids.at(-1) === 1 && made.includes(`pid namespace ${ns.pid}`));
    const said = first.map(({ pid, ns }) => `process ${pid} is pid 1 in a new pid namespace ${ns.pid}`);
    const rest = made.filter((thing) => !said.some((sentence) => sentence.endsWith(thing)));
    if (rest.length) said.push(`new: ${rest.join(", ")}`);
    if (gone.length) said.push(`gone: ${gone.join(", ")}`);
    for (const [inode, name] of Object.entries(now.hostnames)) {
        if ((before.hostnames[inode] ?? name) !== name) said.push(`the hostname in uts namespace ${inode} is now ${name}`);
    }
    const full = ({ cgroups }) => cgroups.filter(({ pids }) => pids?.max && pids.current >= pids.max);
    const were = full(before).map(({ path }) => path);
    return [...said, ...full(now).filter(({ path }) => !were.includes(path)).map(({ path, pids }) => `cgroup ${path} has ${words.pids(pids)}`)];
}

// Makes what is there like `wanted`, and keeps what can stay: only what is new moves.
function become(there, wanted) {
    const key = (node) => `${node.nodeName} ${node.dataset?.key ?? ""}`;
    const kept = new Map();
    for (const node of there.childNodes) kept.set(key(node), [...(kept.get(key(node)) ?? []), node]);
    let place = there.firstChild;
    for (const node of [...wanted.childNodes]) {
        const same = kept.get(key(node))?.shift();
        if (!same) {
            there.insertBefore(node, place);
            continue;
        }
        if (same === place) place = place.nextSibling;
        else there.insertBefore(same, place);
        if (node.nodeType === Node.TEXT_NODE) {
            if (same.data !== node.data) same.data = node.data;
            continue;
        }
        for (const { name, value } of node.attributes) if (same.getAttribute(name) !== value) same.setAttribute(name, value);
        become(same, node);
    }
    for (const left of kept.values()) for (const node of left) node.remove();
}

class LivePicture extends HTMLElement {
    connectedCallback() {
        if (!this.drawing) this.build();
        this.terminal = document.getElementById(this.getAttribute("for")) ?? nearest(this);
        this.listen = ({ detail }) => this.show(detail);
        this.terminal?.addEventListener("agent", this.listen);
    }

    disconnectedCallback() {
        this.terminal?.removeEventListener("agent", this.listen);
    }

    build() {
        this.innerHTML = `<header><h2>The kernel, live</h2><button type="button" aria-pressed="false">as text</button></header>
            <p class="news" aria-live="polite"><span>When Linux runs, its namespaces and processes are drawn here.</span></p>
            <div class="drawing" aria-hidden="true"></div><div class="telling"></div>`;
        [this.news, this.drawing, this.telling] = this.querySelectorAll(".news, .drawing, .telling");
        const button = this.querySelector("button");
        button.addEventListener("click", () => button.setAttribute("aria-pressed", this.classList.toggle("as-text")));
    }

    // A room that appears comes into sight, where the picture scrolls in a place of its own.
    follow() {
        const rooms = [...this.drawing.querySelectorAll(".room .room")];
        const fresh = rooms.find((room) => !this.rooms?.has(room.dataset.key));
        this.rooms = new Set(rooms.map((room) => room.dataset.key));
        const [place, room] = [this.parentElement.getBoundingClientRect(), fresh?.getBoundingClientRect()];
        if (room && (room.bottom > place.bottom || room.top < place.top)) {
            this.parentElement.scrollTop += room.top - place.top;
        }
    }

    // The first line of a machine that comes back may be the rest of one, and is left out.
    show(line) {
        if (line === this.line || !line.startsWith('{"v":')) return;
        this.line = line;
        let state;
        try {
            state = read(line);
        } catch (error) {
            this.says([`the picture cannot be drawn: ${error.message}. Reload the page`]);
            return;
        }
        for (const [place, html] of [[this.drawing, draw(state)], [this.telling, tell(state)]]) {
            const wanted = document.createElement("template");
            wanted.innerHTML = html.replace(/>\s+</g, "><");
            become(place, wanted.content);
        }
        this.follow();
        this.says(this.state ? changes(this.state, state) : ["the machine runs"]);
        this.state = state;
    }

    // Adds to what has just been said: the parts of a container come and go one after the other.
    says(changes) {
        const textContent = `${changes.join("; ")}. `.replace(/^./, (letter) => letter.toUpperCase());
        if (!changes.length || textContent === this.news.lastChild?.textContent) return;
        const now = performance.now();
        for (const old of [...this.news.children]) if (!(now - old.at < TOGETHER)) old.remove();
        this.news.append(Object.assign(document.createElement("span"), { textContent, at: now }));
    }
}

function nearest(element) {
    for (let around = element.parentElement; around; around = around.parentElement) {
        const found = around.closest("linux-terminal") ?? around.querySelector("linux-terminal");
        if (found) return found;
    }
    return null;
}

customElements.define("live-picture", LivePicture);
