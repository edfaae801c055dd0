// Colours for code: comments, strings, numbers and keywords, told apart by one regular expression per family.

const words = (text) => new Set(text.split(' '));
const COMMON = 'if else for while do switch case default break continue return true false null class new this try ' +
    'catch finally throw import export from const let var function async await static public private protected void ' +
    'int float double bool char struct enum interface extends implements package using namespace template typename ' +
    'fn mut pub impl trait match use mod type where func go defer chan map range select elif def lambda pass raise ' +
    'with as yield None True False and or not in is del global nonlocal self nil local then end done fi esac';
const SQL = 'select from where insert into update delete create table drop alter join left right inner outer on group by ' +
    'order having limit values set and or not null as distinct union all primary key references index';
const KEYWORDS = words(COMMON), SQL_KEYWORDS = words(SQL);

const HASH = words('py python sh bash shell zsh rb ruby yaml yml toml make makefile r perl conf ini dockerfile');
const DASH = words('sql lua haskell hs');
const PLAIN = words('text txt plain markdown md diff output console');

function rules(language) {
  const comment = HASH.has(language) ? '#.*' : DASH.has(language) ? '--.*' : '//.*|/\\*[^]*?(?:\\*/|$)';
  return new RegExp(
      `(?<comment>${comment})|(?<string>"""[^]*?(?:"""|$)|"(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?|` +
          '`(?:\\\\.|[^`\\\\])*`?)|(?<number>\\b(?:0x[0-9a-fA-F]+|\\d[\\d_]*(?:\\.\\d+)?(?:e[+-]?\\d+)?)\\b)|(?<word>[A-Za-z_$][\\w$]*)',
      'g');
}

// Appends `code` to `parent` as text and coloured spans. Nothing of it is ever read as HTML.
export function highlight(code, language, parent) {
  if (!language || PLAIN.has(language)) {
    parent.append(code);
    return;
  }
  const keywords = language === 'sql' ? SQL_KEYWORDS : KEYWORDS;
  let at = 0;
  for (const found of code.matchAll(rules(language))) {
    const {comment, string, number, word} = found.groups;
    const isKeyword = word && keywords.has(language === 'sql' ? word.toLowerCase() : word);
    const kind = comment ? 'comment' : string ? 'string' : number ? 'number' : isKeyword ? 'keyword' : null;
    if (!kind) continue;
    parent.append(code.slice(at, found.index));
    const span = document.createElement('span');
    span.className = kind;
    span.textContent = found[0];
    parent.append(span);
    at = found.index + found[0].length;
  }
  parent.append(code.slice(at));
}
