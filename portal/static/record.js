// The page for all records: shows the one that the address names. Every text is put in as text, never as HTML.
(function () {
  "use strict";

  var find = window.syncgovFind;
  if (!find) return; // the page says so
  document.getElementById("sg-unready").hidden = true;
  var heading = document.getElementById("sg-record-title");
  var status = document.getElementById("sg-record-status");
  var place = document.getElementById("sg-record");
  var site = document.title.split(" - ").pop();
  var current = 0;

  var element = find.element;

  function link(text, address, className) {
    var made = element("a", text, className);
    made.href = find.root + address;
    return made;
  }

  function paragraphs(text) {
    return text.split(/\n\s*\n/).filter(Boolean).map(function (part) {
      var made = element("p", part, "sg-lines");
      return made;
    });
  }

  function facts(pairs) {
    var table = element("table", "", "sg-facts");
    var body = element("tbody");
    pairs.forEach(function (pair) {
      var row = element("tr");
      var head = element("th", pair[0]);
      head.scope = "row";
      var cell = element("td", pair[2] ? "" : pair[1], "sg-lines");
      if (pair[2]) cell.append(link(pair[1], pair[2]));
      row.append(head, cell);
      body.append(row);
    });
    table.append(body);
    return table;
  }

  function lamp(kind, label) {
    return element("span", label, "sg-badge sg-lamp sg-lamp--" + (kind || "none"));
  }

  // [name, date, who, unit, due, lamp, lamp's words, reason] of each step
  function steps(found) {
    var list = element("ol", "", "sg-steps");
    found.forEach(function (step) {
      var made = element("li");
      made.append(element("strong", step[0]), " ", element("span", step[1], "sg-unbroken"));
      if (step[6]) made.append(" ", lamp(step[5], step[6]));
      var notes = [["办理人", step[2]], ["责任单位", step[3]], ["办理期限", step[4]], ["理由", step[7]]]
        .filter(function (note) { return note[1]; })
        .map(function (note) { return note[0] + "：" + note[1]; });
      if (notes.length) made.append(element("span", notes.join("；"), "sg-note sg-step-note"));
      list.append(made);
    });
    return list;
  }

  function section(title, parts) {
    place.append(element("h2", title));
    parts.forEach(function (part) { place.append(part); });
  }

  function lines(items) {
    var list = element("ul");
    items.forEach(function (item) { list.append(element("li", item)); });
    return list;
  }

  function evidence(address) {
    var made = element("p");
    if (address) {
      var path = "../" + address.split("/").map(encodeURIComponent).join("/");
      made.append(link("查看签名证据", path, "sg-evidence"), "　");
      var check = link("在浏览器里核对", "check.html", "sg-check-link");
      check.href += "#" + encodeURI(path);
      made.append(check, "　");
    }
    made.append(link("怎样核验", "verify.html"));
    return made;
  }

  function complain(found) {
    var made = element("p", "先打网格员或社区的工作电话；认为办得不对、办得太慢，");
    made.append(link("看怎样投诉", "complain.html"), "。投诉时请说出上面的编号。");
    return made;
  }

  function show(found) {
    heading.textContent = found.title;
    document.title = found.title + " - " + site;
    var top = element("p");
    top.append(link("← " + found.kind, found.list, "sg-back"));
    if (found.lamp && found.lamp[1]) top.append(" ", lamp(found.lamp[0], found.lamp[1]));
    found.marks.forEach(function (mark) { top.append(" ", element("span", mark, "sg-badge sg-mark")); });
    place.append(top, facts(found.facts));
    if (found.why && found.why.length) section("为什么超期", found.why.map(function (t) { return element("p", t); }));
    if (found.steps && found.steps.length) {
      section("办理过程", [steps(found.steps), element("p", "时间是中心收到签名记录的时间（北京时间）。", "sg-note")]);
    }
    found.sections.forEach(function (each) {
      section(each[0], typeof each[1] === "string" ? paragraphs(each[1]) : [lines(each[1])]);
    });
    if (found.steps) section("不满意怎么办", [complain(found)]);
    section("证据", [evidence(found.evidence)]);
  }

  function missing(text) {
    status.textContent = text;
    place.append(link("按编号或文字查找", "find.html"));
  }

  async function open() {
    var mine = ++current;
    place.textContent = "";
    status.textContent = "正在取这条记录…";
    var address = "";
    try {
      address = decodeURIComponent(location.hash.slice(1));
    } catch (error) { /* shown as missing */ }
    var found;
    try {
      found = await find.record(address);
    } catch (error) {
      if (mine === current) missing(error.message === "edition" ? "网站刚刚更新，请刷新这一页。" : "记录没有取到，请检查网络后刷新这一页。");
      return;
    }
    if (mine !== current) return;
    if (!found) {
      missing("没有这条记录。它可能已经删除，或者地址不完整。");
      return;
    }
    status.textContent = "";
    show(found);
  }

  // The link that skips the menus leads to a heading of this page, which is no other record.
  window.addEventListener("hashchange", function () {
    if (!document.getElementById(location.hash.slice(1))) open();
  });
  open();
})();
