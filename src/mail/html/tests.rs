use super::to_text;

#[test]
fn a_reader_of_the_text_sees_what_a_reader_of_the_page_sees() {
    for (html, expected) in [
        ("<p>DRYRUN.OK</p><p>A.NOK</p>", "DRYRUN.OK\nA.NOK\n"),
        ("DRYRUN.OK<br>A.NOK<BR/>B.OK<br />C.OK", "DRYRUN.OK\nA.NOK\nB.OK\nC.OK"),
        ("<div>A<b>.N</b><span style='x'>OK</span></div>", "A.NOK\n"),
        ("<p>Web\n  Shop.OK  </p>  <p> x </p>", "Web Shop.OK\nx\n"),
        ("Web&nbsp;Shop.OK &amp; R&eacute;seau&#46;NOK &lt;x&gt;", "Web Shop.OK & Réseau.NOK <x>"),
        ("MSSQL1&shy;_&#8203;Service\u{200b}.NOK", "MSSQL1_Service.NOK"),
        ("<table><tr><td>A.OK</td><td>B.NOK</td></tr><tr><th>C.OK</th></tr></table>", "A.OK\tB.NOK\nC.OK\n"),
        ("<tr> <td>1</td> <th> Old\n Shop.OK </th> <td></td> </tr>", "1\tOld Shop.OK\n"),
        ("<ul><li>A.OK<li>B.OK</ul>", "A.OK\nB.OK\n"),
        ("<pre>A.OK\r\nB.OK\n\nC.OK</pre>D\nE", "A.OK\nB.OK\nC.OK\nD E"),
        ("a<!-- A.NOK -- > --><!-->b<!---->c", "abc"),
        ("<!DOCTYPE html><?xml x?><html><head><title>T.NOK</title><meta a></head><body>A.OK", "A.OK"),
        ("<script>if (1 < 2) '</p>A.NOK'</SCRIPT >A.OK<style>.NOK{}</style>B.OK", "A.OKB.OK"),
        ("<!--[if mso]>A.NOK<![endif]--><![if !mso]>B.OK<![endif]>", "B.OK"),
        ("<a title=\"1 > A.NOK\" href='>'>B.OK</a>", "B.OK"),
        ("1 < 2 <3 <> a<b", "1 < 2 <3 <> a"),
        ("a & b &unknown; &", "a & b &unknown; &"),
        ("</p>A</nosuch>.OK", "A.OK"),
        ("", ""),
    ] {
        assert_eq!(to_text(html), expected, "{html:?}");
    }
}

#[test]
fn quoted_lines_are_marked() {
    let html =
        "A.OK<blockquote>B.OK<br>C.OK<blockquote><p>D.OK</p></blockquote>E.OK</blockquote></blockquote>F.OK";
    assert_eq!(to_text(html), "A.OK\n> B.OK\n> C.OK\n> D.OK\n> E.OK\nF.OK");
}

#[test]
fn what_has_no_end_does_not_hide_what_stands_before() {
    for (html, expected) in [
        ("A.OK<p", "A.OK\n"),
        ("A.OK<!-- B.OK", "A.OK"),
        ("A.OK<script>B.OK", "A.OK"),
        ("A.OK<a title=\"x>B.OK", "A.OKB.OK"),
        ("A.OK&am", "A.OK&am"),
        ("A.OK<", "A.OK<"),
        ("A.OK</", "A.OK"),
    ] {
        assert_eq!(to_text(html), expected, "{html:?}");
    }
}
