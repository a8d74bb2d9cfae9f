// Differences side by side, copy buttons, notes for instructors: what mdBook's own script does not know.
'use strict';
(() => {
    const html = document.documentElement;

    function choose(name, yes) {
        html.classList.toggle(name, yes);
        try {
            localStorage.setItem(name, yes ? 'yes' : 'no');
        } catch (e) { }
    }

    // Side by side: what goes on the left, what comes on the right, the same in both.
    function element(name, className, ...children) {
        const made = document.createElement(name);
        made.className = className;
        made.append(...children);
        return made;
    }

    function cell(line, side) {
        if (line === undefined) return element('div', 'line nothing');
        const copy = line.cloneNode(true);
        copy.dataset.new = side === 'old' ? line.dataset.old : line.dataset.new;
        return copy;
    }

    function pairs(lines) {
        const rows = [];
        let gone = [], come = [];
        const flush = () => {
            for (let i = 0; i < Math.max(gone.length, come.length); i++) {
                rows.push(element('div', 'pair', cell(gone[i], 'old'), cell(come[i], 'new')));
            }
            gone = [];
            come = [];
        };
        for (const line of lines) {
            if (line.classList.contains('deleted')) gone.push(line);
            else if (line.classList.contains('added')) come.push(line);
            else {
                flush();
                rows.push(element('div', 'pair', cell(line, 'old'), cell(line, 'new')));
            }
        }
        flush();
        return rows;
    }

    function makeSides(lines) {
        const sides = element('div', 'lines sides');
        sides.tabIndex = 0;
        let run = [];
        for (const child of lines.children) {
            if (child.tagName === 'DETAILS') {
                sides.append(...pairs(run));
                run = [];
                const fold = element('details', 'unchanged', child.querySelector('summary').cloneNode(true));
                fold.append(...pairs(child.querySelectorAll('.line')));
                sides.append(fold);
            } else {
                run.push(child);
            }
        }
        sides.append(...pairs(run));
        return sides;
    }

    function showDifferences() {
        const beside = html.classList.contains('side-by-side');
        for (const figure of document.querySelectorAll('figure.diff')) {
            const button = figure.querySelector('button.sides');
            if (button) button.setAttribute('aria-pressed', beside);
            if (beside && !figure.querySelector('.lines.sides')) {
                figure.append(makeSides(figure.querySelector('.lines')));
            }
        }
    }

    function toggleSides(button) {
        const before = button.getBoundingClientRect().top;
        choose('side-by-side', !html.classList.contains('side-by-side'));
        showDifferences();
        // What was clicked stays where it is.
        window.scrollBy(0, button.getBoundingClientRect().top - before);
    }

    async function copy(button) {
        const around = button.closest('.screen, figcaption, .try');
        const typed = [...around.querySelectorAll('kbd:not(.key), code.command')];
        const text = typed.map((piece) => piece.textContent).join('\n');
        let said = 'Copied';
        try {
            await navigator.clipboard.writeText(text);
        } catch (e) {
            said = 'Cannot copy';
        }
        button.textContent = said;
        setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    }

    document.addEventListener('click', (event) => {
        const button = event.target.closest('button.copy, button.sides');
        if (!button) return;
        if (button.classList.contains('copy')) copy(button);
        else toggleSides(button);
    });

    function toggleNotes() {
        choose('with-notes', !html.classList.contains('with-notes'));
        showNotes();
    }

    const notes = element('button', 'notes-button', 'Notes');
    notes.type = 'button';
    notes.title = 'Notes for instructors (n)';
    notes.setAttribute('aria-keyshortcuts', 'n');
    notes.addEventListener('click', toggleNotes);

    function showNotes() {
        notes.setAttribute('aria-pressed', html.classList.contains('with-notes'));
    }

    document.addEventListener('keydown', (event) => {
        const types = event.target.closest('input, textarea, select, [contenteditable]');
        if (event.key !== 'n' || types || event.ctrlKey || event.altKey || event.metaKey) return;
        toggleNotes();
    });

    // Everything is on paper. What was folded is folded again afterwards.
    let opened = [];
    function unfold() {
        opened = [...document.querySelectorAll('main details:not([open])')];
        for (const fold of opened) fold.open = true;
    }
    window.addEventListener('beforeprint', unfold);
    window.addEventListener('afterprint', () => {
        for (const fold of opened) fold.open = false;
    });
    if (document.querySelector('meta[name=robots][content=noindex]')) unfold();

    // Light, dark, or what the system says; of mdBook's dark themes there is one.
    for (const name of ['rust', 'coal', 'ayu']) {
        document.getElementById('mdbook-theme-' + name)?.parentElement.remove();
    }
    const names = { default_theme: 'System', light: 'Light', navy: 'Dark' };
    for (const [theme, name] of Object.entries(names)) {
        const button = document.getElementById('mdbook-theme-' + theme);
        if (button) button.textContent = name;
    }

    // mdBook's label for the sidebar says that it is expanded, as a button would, but is none.
    const sidebarLabel = document.getElementById('mdbook-sidebar-toggle');
    sidebarLabel?.setAttribute('role', 'button');
    sidebarLabel?.setAttribute('tabindex', '0');
    sidebarLabel?.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        sidebarLabel.click();
    });

    // Linux is loaded where it can run: not from files, and not ten times on the page with everything.
    const linux = document.querySelectorAll('linux-terminal');
    if (linux.length === 1 && location.protocol !== 'file:') {
        import(new URL('vm/vm.mjs', document.baseURI)).catch(() => linux[0].classList.add('fails'));
    } else {
        linux.forEach((it) => it.classList.add('fails'));
    }

    document.querySelector('.right-buttons')?.prepend(notes);
    const help = document.querySelector('#mdbook-help-popup div');
    help?.append(element('p', '', 'Press ', element('kbd', '', 'N'), ' to show the notes for instructors'));
    showNotes();
    showDifferences();
})();
