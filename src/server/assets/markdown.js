// Markdown as it streams in. Elements are made one by one and text stays text, so that nothing a model says can become
// markup of the page. Blocks that did not change keep their elements: selections and scroll positions survive.
import {highlight} from './highlight.js';

const make = (name, ...children) => {
  const element = document.createElement(name);
  element.append(...children);
  return element;
};

const INLINE = /(`+)([^]*?[^`])\1(?!`)|\*\*([^*]+?)\*\*|__([^_]+?)__|(?<![\w*])\*([^*\s][^*]*?)\*(?!\w)|(?<!\w)_([^_\s][^_]*?)_(?!\w)|~~([^~]+)~~|\[([^\]]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])/g;

function link(label, address) {
  let url;
  try {
    url = new URL(address, 'invalid:');
  } catch {
    return label;
  }
  if (!['http:', 'https:', 'mailto:'].includes(url.protocol)) return label;
  const anchor = make('a', label);
  anchor.href = address;
  anchor.rel = 'noreferrer noopener';
  anchor.target = '_blank';
  return anchor;
}

function inline(text, parent) {
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    parent.append(text.slice(at, found.index));
    at = found.index + found[0].length;
    const [, , code, strong, strong2, em, em2, del, label, target, bare] = found;
    if (code !== undefined) parent.append(make('code', code.trim() || code));
    else if (strong ?? strong2) inline(strong ?? strong2, parent.appendChild(make('strong')));
    else if (em ?? em2) inline(em ?? em2, parent.appendChild(make('em')));
    else if (del) inline(del, parent.appendChild(make('del')));
    else if (label) parent.append(link(label, target));
    else parent.append(link(bare, bare));
  }
  parent.append(text.slice(at));
  return parent;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;

// Texts of blocks: fences whole, lists whole, everything else up to an empty line.
export function blocksOf(text) {
  const blocks = [];
  let lines = [], fence = null;
  const flush = () => {
    if (lines.length) blocks.push(lines.join('\n'));
    lines = [];
  };
  for (const line of text.split('\n')) {
    const mark = line.match(FENCE);
    if (fence) {
      lines.push(line);
      if (mark && mark[1].startsWith(fence) && line.trim() === mark[1]) {
        fence = null;
        flush();
      }
    } else if (mark) {
      flush();
      fence = mark[1];
      lines.push(line);
    } else if (line.trim() === '') {
      if (lines.length && ITEM.test(lines[0])) lines.push(line);
      else flush();
    } else {
      const inList = lines.length && ITEM.test(lines[0]);
      const afterGap = lines.length && lines.at(-1).trim() === '';
      if (inList && afterGap && !ITEM.test(line) && !/^\s/.test(line)) flush();
      if (/^#{1,6}\s/.test(line)) {
        flush();
        lines.push(line);
        flush();
      } else {
        if (!inList && lines.length && ITEM.test(line)) flush();
        lines.push(line);
      }
    }
  }
  flush();
  return blocks;
}

function codeBlock(lines) {
  const language = lines[0].match(FENCE)[2].toLowerCase();
  const closed = lines.length > 1 && FENCE.test(lines.at(-1));
  const code = lines.slice(1, closed ? -1 : undefined).join('\n');
  const body = make('code');
  highlight(code, language, body);
  const copy = make('button', 'Copy');
  copy.type = 'button';
  copy.className = 'copy';
  copy.addEventListener('click', () => navigator.clipboard.writeText(code));
  const block = make('pre', body, copy);
  block.tabIndex = 0;
  return block;
}

function list(lines) {
  const [, indent, marker] = lines[0].match(ITEM);
  const out = make(/\d/.test(marker) ? 'ol' : 'ul');
  if (/\d/.test(marker)) out.start = parseInt(marker, 10);
  let item = [];
  const flush = () => {
    if (!item.length) return;
    const entry = make('li');
    const nested = item.findIndex((line, i) => i > 0 && ITEM.test(line));
    inline(item.slice(0, nested < 0 ? undefined : nested).join('\n').trim(), entry);
    if (nested > 0) entry.append(list(item.slice(nested)));
    out.append(entry);
  };
  for (const line of lines) {
    const found = line.match(ITEM);
    if (found && found[1].length <= indent.length) {
      flush();
      item = [found[3]];
    } else {
      item.push(line);
    }
  }
  flush();
  return out;
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim());
  const row = (line, kind) => make('tr', ...cells(line).map((cell) => inline(cell, make(kind))));
  return make('table', make('thead', row(lines[0], 'th')), make('tbody', ...lines.slice(2).map((line) => row(line, 'td'))));
}

function element(block) {
  const lines = block.split('\n');
  if (FENCE.test(lines[0])) return codeBlock(lines);
  const heading = block.match(/^(#{1,6})\s+(.*?)\s*#*$/);
  if (heading) return inline(heading[2], make(`h${Math.min(heading[1].length + 2, 6)}`));
  if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(block)) return make('hr');
  if (ITEM.test(lines[0])) return list(lines);
  if (lines.length > 1 && lines[0].includes('|') && /^[\s|:-]+$/.test(lines[1]) && lines[1].includes('-')) return table(lines);
  if (/^\s*>/.test(lines[0])) return inline(lines.map((line) => line.replace(/^\s*>\s?/, '')).join('\n'), make('blockquote'));
  return inline(block, make('p'));
}

export class StreamedMarkdown {
  constructor(parent) {
    this.parent = parent;
    this.shown = [];  // texts of the blocks whose elements stand in `parent`
  }
  update(text) {
    const blocks = blocksOf(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.shown[same]) ++same;
    while (this.parent.childNodes.length > same) this.parent.lastChild.remove();
    for (const block of blocks.slice(same)) this.parent.append(element(block));
    this.shown = blocks;
  }
}
