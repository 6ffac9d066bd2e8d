// The portal's search without a page around it: loads parts of the index as scripts, which also works from file://.
// Written for Chromium 64 and whatever is newer: no syntax after 2018.
(function () {
  "use strict";

  var LONGEST = 200; // characters of a query that are looked at
  var MAX_TERM = 40;
  var DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  var CHINESE = "\\u3005\\u3007\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7af\\uf900-\\ufaff\\u{20000}-\\u{3ffff}";
  var RUNS = new RegExp("([" + CHINESE + "]+)", "u");
  var WORDS = new RegExp("[\\p{L}\\p{N}]+", "gu");

  var me = document.currentScript.src;
  var root = me.slice(0, me.lastIndexOf("static/"));
  var waiting = {};
  var loaded = {};
  var started = null;
  var start = null;

  // Parts -----------------------------------------------------------------------------------------------------------

  function script(address) {
    return new Promise(function (resolve, reject) {
      var tag = document.createElement("script");
      tag.src = address;
      tag.async = true;
      tag.onload = function () { tag.remove(); resolve(); };
      tag.onerror = function () { tag.remove(); reject(new Error("part")); };
      document.head.appendChild(tag);
    });
  }

  window.syncgovStart = function (data) { start = data; };
  window.syncgovPart = function (edition, name, data) {
    if (start && edition === start.edition) waiting[name] = data;
  };

  function begin() {
    if (!started) {
      started = script(root + "find/start.js").then(function () {
        if (!start) throw new Error("start");
        return start;
      });
      started.catch(function () { started = null; });
    }
    return started;
  }

  function part(name) {
    if (!Object.prototype.hasOwnProperty.call(loaded, name)) {
      loaded[name] = begin().then(function () {
        return script(root + "find/" + name + ".js?" + start.edition);
      }).then(function () {
        if (!Object.prototype.hasOwnProperty.call(waiting, name)) throw new Error("edition");
        var data = waiting[name];
        delete waiting[name];
        return data;
      });
      loaded[name].catch(function () { delete loaded[name]; });
    }
    return loaded[name];
  }

  function shardOf(text, files) {
    var found = 0x811c9dc5;
    for (var i = 0; i < text.length; i++) found = Math.imul(found ^ text.charCodeAt(i), 0x01000193);
    return ((found ^ (found >>> 16)) & (files - 1)) >>> 0;
  }

  function member(pairs, name) {
    for (var i = 0; i < pairs.length; i++) if (pairs[i][0] === name) return pairs[i][1];
    return undefined;
  }

  // Words -----------------------------------------------------------------------------------------------------------

  function fold(text) {
    return text.normalize("NFKC").toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize("NFC");
  }

  // [text, is it Chinese] of each run that can be searched for
  function runs(text) {
    var found = [];
    fold(text).split(RUNS).forEach(function (piece, index) {
      if (index % 2) found.push([piece, true]);
      else (piece.match(WORDS) || []).forEach(function (word) { found.push([word, false]); });
    });
    return found;
  }

  function pairs(run) {
    var signs = Array.from(run);
    return signs.map(function (sign, i) { return i + 1 < signs.length ? sign + signs[i + 1] : sign; });
  }

  // A text as it is compared: " " before and after each word; of Chinese the pairs and the last character.
  function spread(text) {
    var out = [];
    runs(text).forEach(function (run) {
      if (run[1]) out.push.apply(out, pairs(run[0]));
      else out.push(run[0]);
    });
    return " " + out.join(" ") + " ";
  }

  // {phrases: what must stand in one part, terms: what the index is asked for, exact: the index alone is right}
  function parse(query) {
    var phrases = [];
    var terms = {};
    var exact = true;
    fold(query.slice(0, LONGEST)).split(/\s+/).forEach(function (word) {
      var found = runs(word);
      var tokens = [];
      var open = false;
      found.forEach(function (run, number) {
        var last = number === found.length - 1;
        if (!run[1]) {
          tokens.push(run[0]);
          terms[" " + run[0].slice(0, MAX_TERM)] = true;
          if (run[0].length > MAX_TERM) exact = false;
          return;
        }
        var signs = pairs(run[0]);
        open = last && signs.length === 1;
        var whole = signs.length > 1 ? signs.slice(0, -1) : signs;
        whole.forEach(function (sign) { terms[" " + sign] = true; });
        if (whole.length > 1) exact = false;
        tokens.push.apply(tokens, last ? whole : signs);
      });
      if (!tokens.length) return;
      if (found.length > 1) exact = false;
      phrases.push(" " + tokens.join(" ") + (open ? "" : " "));
    });
    return { phrases: phrases, terms: Object.keys(terms).map(function (t) { return t.slice(1); }), exact: exact };
  }

  function matches(texts, phrases) {
    var flat = texts.map(spread);
    return phrases.every(function (phrase) {
      return flat.some(function (text) { return text.indexOf(phrase) >= 0; });
    });
  }

  // Postings --------------------------------------------------------------------------------------------------------

  function decode(text) {
    var out = [];
    var before = -1;
    var gap = 0;
    var shift = 0;
    for (var i = 0; i < text.length; i++) {
      var digit = DIGITS.indexOf(text[i]);
      gap += (digit & 31) * Math.pow(2, shift);
      shift += 5;
      if (digit < 32) {
        before += gap + 1;
        out.push(before);
        gap = 0;
        shift = 0;
      }
    }
    return out;
  }

  // The first of ascending `ids` that is not less than `wanted`, -1 if there is none.
  function firstFrom(ids, wanted) {
    var low = 0;
    var high = ids.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (ids[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low < ids.length ? ids[low] : -1;
  }

  function Posting(entry) {
    this.chunks = typeof entry === "string" ? [[0, decode(entry)]] : entry.map(function (e) { return [e[0], null, e[1]]; });
    this.size = typeof entry === "string" ? this.chunks[0][1].length : entry.length * 16384;
  }
  Posting.prototype.seek = async function (wanted) {
    for (var i = 0; i < this.chunks.length; i++) {
      if (i + 1 < this.chunks.length && this.chunks[i + 1][0] <= wanted) continue;
      var chunk = this.chunks[i];
      if (chunk[1] === null) chunk[1] = decode(await part("p/" + chunk[2]));
      var found = firstFrom(chunk[1], wanted);
      if (found >= 0) return found;
    }
    return -1;
  };

  async function posting(term) {
    var found = member(await part("t/" + shardOf(term, start.terms)), term);
    return found === undefined ? null : new Posting(found);
  }

  // Searching -------------------------------------------------------------------------------------------------------

  // One query: take() gives its results in their order, a few at a time.
  function Search(query) {
    this.asked = parse(query);
    this.at = 0;
    this.postings = null;
    this.done = this.asked.phrases.length === 0;
  }
  Search.prototype.open = async function () {
    await begin();
    var found = await Promise.all(this.asked.terms.map(posting));
    if (found.indexOf(null) >= 0) this.done = true;
    this.postings = found.filter(Boolean).sort(function (a, b) { return a.size - b.size; });
  };
  // The next document that has all terms, -1 at the end.
  Search.prototype.candidate = async function () {
    var wanted = this.at;
    var agreed = 0;
    for (var i = 0; agreed < this.postings.length; i = (i + 1) % this.postings.length) {
      var found = await this.postings[i].seek(wanted);
      if (found < 0) return -1;
      agreed = found === wanted ? agreed + 1 : 1;
      wanted = found;
    }
    return wanted;
  };
  Search.prototype.card = async function (number) {
    var row = (await part("c/" + Math.floor(number / start.perCard)))[number % start.perCard];
    var parts = row[4];
    if (typeof parts === "number") parts = member(await part("x/" + Math.floor(parts / start.perLong)), parts);
    return { number: number, kind: row[0], title: row[1], note: row[2], address: row[3], parts: parts };
  };
  // The next `count` results; fewer when there are no more (then `done` is true) or `most` texts have been read.
  Search.prototype.take = async function (count, most) {
    var found = [];
    var read = 0;
    if (!this.done && !this.postings) await this.open();
    while (!this.done && found.length < count && !(read >= most)) {
      var numbers = [];
      while (!this.done && found.length + numbers.length < count) {
        var number = await this.candidate();
        if (number < 0) this.done = true;
        else numbers.push(number);
        this.at = number + 1;
      }
      read += numbers.length;
      var cards = await Promise.all(numbers.map(this.card));
      var asked = this.asked;
      found = found.concat(asked.exact ? cards : cards.filter(function (c) { return matches(c.parts, asked.phrases); }));
    }
    return found;
  };

  async function record(address) {
    await begin();
    return member(await part("m/" + shardOf(address, start.records)), address);
  }

  // for the pages: what they are made of
  function element(name, text, className) {
    var made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function link(text, address) {
    var made = element("a", text);
    made.href = root + address;
    return made;
  }

  window.syncgovFind = {
    element: element, link: link,
    begin: begin, root: root, part: part, fold: fold, spread: spread, parse: parse, matches: matches, record: record,
    shardOf: shardOf,
    search: function (query) { return new Search(query); }
  };
})();
