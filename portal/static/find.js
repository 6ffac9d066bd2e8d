// The page that searches: takes the words from the address or the box at the top, also those typed before this ran.
(function () {
  "use strict";

  var STEP = 20;
  var MOST = 200; // texts read at a time: words that stand in many texts, but never together, end here
  var PAUSE = 200; // ms after the last key
  var SNIPPET = 60; // characters around the first hit

  var find = window.syncgovFind;
  if (!find) return; // the page says so
  document.getElementById("sg-unready").hidden = true;
  var box = document.getElementById("sg-find-words");
  var status = document.getElementById("sg-found-status");
  var list = document.getElementById("sg-found");
  var more = document.getElementById("sg-found-more");
  var help = document.getElementById("sg-found-help");
  var lists = document.getElementById("sg-found-lists");
  var current = 0;
  var timer = null;
  var search = null;
  var shown = "";

  var element = find.element;
  var link = find.link;

  // The piece of a text around the first word, with the words marked as far as they stand there as typed.
  function snippet(parts, query) {
    var words = find.fold(query).split(/\s+/).filter(Boolean);
    var made = element("span", "", "sg-snippet");
    var text = parts.find(function (part) { return words.some(function (w) { return part.toLowerCase().indexOf(w) >= 0; }); });
    if (!text) return null;
    var lower = text.toLowerCase();
    if (lower.length !== text.length) lower = text;
    var first = Math.min.apply(null, words.map(function (w) { return lower.indexOf(w); }).filter(function (i) { return i >= 0; }));
    if (!isFinite(first)) return null;
    var from = Math.max(0, first - SNIPPET / 3);
    var piece = text.slice(from, from + SNIPPET);
    var at = 0;
    made.append(from ? "…" : "");
    while (at < piece.length) {
      var hit = nextHit(lower.slice(from, from + SNIPPET), words, at);
      made.append(piece.slice(at, hit[0]));
      if (hit[1]) made.append(element("mark", piece.slice(hit[0], hit[0] + hit[1])));
      at = hit[0] + hit[1];
    }
    if (from + SNIPPET < text.length) made.append("…");
    return made;
  }

  function nextHit(text, words, from) {
    var best = [text.length, 0];
    words.forEach(function (word) {
      var at = text.indexOf(word, from);
      if (at >= 0 && at < best[0]) best = [at, word.length];
    });
    return best;
  }

  function item(found, query) {
    var made = element("li");
    made.append(link(found.title, found.address));
    made.append(element("span", [found.kind, found.note].filter(Boolean).join(" · "), "sg-found-note"));
    var piece = snippet(found.parts, query);
    if (piece && piece.textContent !== found.title) made.append(piece);
    return made;
  }

  function say(text) { status.textContent = text; }

  async function go(query) {
    var mine = ++current;
    shown = query;
    help.hidden = Boolean(query.trim());
    if (!query.trim()) {
      list.textContent = "";
      more.hidden = true;
      say("请在上面的查找框里写要找的内容。");
      return;
    }
    say("正在查找…");
    search = find.search(query);
    await show(mine, query, true);
  }

  async function show(mine, query, fresh) {
    var found;
    try {
      found = await search.take(STEP, MOST);
    } catch (error) {
      if (mine !== current) return;
      say(error.message === "edition" ? "网站刚刚更新，请刷新这一页再查。" : "查找用的文件没有取到。请检查网络，再按一次“查找”。");
      help.hidden = false;
      return;
    }
    if (mine !== current) return;
    if (fresh) list.textContent = "";
    var before = list.children.length;
    found.forEach(function (one) { list.append(item(one, query)); });
    more.hidden = search.done;
    var count = list.children.length;
    help.hidden = count > 0 || !search.done;
    if (!count && !search.done) say("还没有找到，也还没有看完。按“再看 20 条”接着找。");
    else if (!count) say("没有找到“" + query.trim() + "”。可以少写几个字，或者换一个说法。");
    else say(search.done ? "找到 " + count + " 条。" : "先列出 " + count + " 条，后面还有。");
    if (!fresh && list.children[before]) list.children[before].querySelector("a").focus();
  }

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(function () { if (box.value !== shown) enter(); }, PAUSE);
  }

  function enter() {
    clearTimeout(timer);
    try {
      history.replaceState(null, "", location.pathname + "?q=" + encodeURIComponent(box.value));
    } catch (error) { /* some browsers refuse for files: only the address stays behind */ }
    go(box.value);
  }

  function asked() {
    var match = /[?&]q=([^&]*)/.exec(location.search);
    try {
      return match ? decodeURIComponent(match[1].replace(/\+/g, " ")) : "";
    } catch (error) { return ""; }
  }

  box.form.addEventListener("submit", function (event) { event.preventDefault(); enter(); });
  box.addEventListener("input", typed);
  more.addEventListener("click", function () { show(current, shown, false); });
  if (!box.value) box.value = asked(); // what somebody typed before this ran stays
  find.begin().then(function (start) {
    start.lists.forEach(function (entry) {
      var line = element("li");
      line.append(link(entry[0], entry[1]));
      lists.append(line);
    });
  }).catch(function () { /* go() says so */ });
  go(box.value);
  if (!box.value) box.focus();
})();
