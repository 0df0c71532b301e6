"""The words by which stems are named, in the languages and abbreviations of those who name them.

One table per language: a role, and the phrases that tell it, separated by commas. Neither case,
accents nor width matter. A phrase goes before its words: a bass drum is no bass. Chinese, Japanese
and Korean, without spaces, are found within words.
"""

ASIDE = "aside"
"""Not a role: what hangs about with stems and is none of them."""

ENGLISH = {
    "lead": "lead, vocal, vocals, vocalist, singer, voice, voices, lead vocal, lead vocals, rap, "
    "rapper, main vocal, soprano, alto, tenor, baritone, acapella, a cappella",
    "speech": "speech, talk, narration, narrator, host, cohost, co host, guest, interview, "
    "interviewer, interviewee, dialog, dialogue, podcast, speaker, presenter, announcer, "
    "commentary, commentator, voice over, voiceover, moderator, anchor, lecture, reader",
    "backing": "backing, backings, backing vocal, backing vocals, background vocal, "
    "background vocals, harmony, harmonies, vocal harmony, choir, chorus vocal, gang, "
    "gang vocal, gang vocals, aahs, ahs, oohs, background, adlib, adlibs, ad lib, ad libs, "
    "vocal double, vocal doubles, vox double, vox doubles, shouts, humming",
    "drums": "beat, beats, drum, drums, drumkit, drum kit, drum loop, drum machine, kit, loop, "
    "breakbeat, overhead, overheads, drum room, room, room mic, room mics, drum bus, 808 drums, "
    "808 kit, tr 808, tr 909, 909",
    "kick": "kick, kicks, bass drum, bassdrum, kick in, kick out, sub kick, kick sub, kick drum",
    "snare": "snare, snares, snare drum, snare top, snare bottom, clap, claps, handclap, "
    "handclaps, rim, rimshot, sidestick, side stick, snaps, finger snaps",
    "hats": "hat, hats, hi hat, hi hats, hihat, hihats, high hat, high hats, cymbal, cymbals, "
    "crash, ride, ride cymbal, splash, open hat, closed hat",
    "perc": "perc, percs, percussion, percussions, conga, congas, bongo, bongos, shaker, "
    "tambourine, tamb, cowbell, tom, toms, floor tom, rack tom, clave, claves, guiro, maraca, "
    "maracas, timbale, timbales, triangle, woodblock, wood block, agogo, cabasa, cajon, djembe, "
    "tabla, udu, vibraslap, castanets, timpani, glockenspiel, marimba, xylophone, vibraphone, "
    "vibes, steel drum, steel drums, steelpan, surdo, pandeiro, cuica, caxixi, bells, gong, egg",
    "bass": "bass, sub, sub bass, subbass, bass guitar, electric bass, synth bass, bass synth, "
    "upright bass, double bass, acoustic bass, contrabass, 808, 808 bass, bassline, bass line, "
    "bass di, bass amp, moog bass",
    "guitar": "guitar, guitars, lead guitar, rhythm guitar, acoustic, acoustic guitar, "
    "electric guitar, banjo, ukulele, mandolin, pedal steel, lap steel, steel guitar, "
    "slide guitar, nylon, dobro, sitar, oud, bouzouki, lute, guitar solo, power chords",
    "keys": "keys, key, piano, grand piano, upright piano, electric piano, rhodes, organ, "
    "hammond, epiano, e piano, wurli, wurlitzer, keyboard, keyboards, clav, clavinet, "
    "harpsichord, celesta, accordion, harmonium, melodica, mellotron, leslie",
    "synth": "synth, synths, lead synth, synth lead, arp, arps, arpeggio, arpeggiator, pluck, "
    "plucks, saw, sequence, sequencer, synthesizer, moog, stab, stabs, chiptune",
    "pad": "pad, pads, synth pad, synth pads, atmo, atmos, atmosphere, ambience, ambient, drone, "
    "texture, textures, soundscape",
    "strings": "string, strings, violin, violins, viola, violas, cello, cellos, celli, fiddle, "
    "string section, string quartet, orchestra, harp, pizzicato, pizz, erhu",
    "brass": "brass, horn, horns, trumpet, trumpets, trombone, trombones, sax, saxes, saxophone, "
    "alto sax, tenor sax, baritone sax, bari sax, soprano sax, tuba, flugelhorn, french horn, "
    "flute, flutes, clarinet, bass clarinet, woodwind, woodwinds, winds, oboe, piccolo, "
    "recorder, harmonica, bagpipes, euphonium, english horn, pan flute, bass trombone",
    "fx": "fx, sfx, effect, effects, noise, riser, risers, impact, impacts, sweep, sweeps, foley, "
    "sound effect, sound effects, whoosh, downlifter, uplifter, transition, transitions, vinyl, "
    "crackle, reverse",
    "music": "music, music bed, bed, background music, underscore",
    "jingle": "jingle, jingles, intro, outro, sting, stinger, bumper",
    "other": "instrumental, karaoke, playback, bassoon",
    ASIDE: "click, clicks, click track, clicktrack, metronome, metro, count in, countin, "
    "reference, reference mix, reference track, rough, rough mix, master, mastered, mix, "
    "full mix, mixdown, premaster, pre master, stereo mix, two mix, 2 mix, timecode, smpte, ltc",
}

FIELD = {
    "lead": "vox, vx, voc, vocs, vcl lead, lv, ld vox, ldvx, lead vox, lvox, main vox",
    "speech": "vo, dx, dia, nar, spkr, spk",
    "backing": "bgv, bgvs, bv, bvs, bvox, bg vox, bgvox, bg vocals, harm, harms, dbl vox, gv",
    "drums": "oh, ohs, drm, drms, dr, drs, drum oh",
    "kick": "kik, kck, kd, bd, k in, k out",
    "snare": "sn, snr, sd, sn top, sn bot, sn btm, snt, snb",
    "hats": "hh, hht, cym, cyms, crsh",
    "perc": "prc, cga, bng, shk, tmb, ft, rt, tt, glock, marim",
    "bass": "bs, bss, bas, bass gtr, bgtr, ebass, e bass, db bass, subb, sbass, synbass",
    "guitar": "gtr, gtrs, gt, gts, git, eg, egt, egtr, e gtr, ag, agt, agtr, a gtr, ac gtr, "
    "acgtr, ldgtr, rhy gtr, elgtr, uke, mando",
    "keys": "pno, kbd, kbds, kb, kys, org, rhds, ep, clv",
    "synth": "syn, syns, syn ld, seq",
    "pad": "amb, atm, syn pad",
    "strings": "str, strs, strgs, vln, vlns, vla, vlc, vc",
    "brass": "tpt, tpts, trp, tbn, tbns, hn, hns, sx, tsx, asx, bsx, flt, clar, hrn, hrns",
    ASIDE: "clk, ref, ref mix, ruff, ruff mix, rgh mix, mstr",
}

GERMAN = {
    "lead": "stimme, gesang, sänger, sängerin, hauptstimme, leadgesang, leadstimme, sologesang",
    "speech": "sprecher, sprecherin, sprache, moderation, moderatorin, gast, gespräch, erzähler, "
    "erzählerin, interviewer, kommentar",
    "backing": "chor, chöre, hintergrundgesang, chorgesang, begleitgesang, backgroundgesang, "
    "zweitstimme, zweite stimme, background chor",
    "drums": "schlagzeug, raum, raummikro, raummikrofon",
    "kick": "basstrommel, große trommel, bassdrum, fußtrommel",
    "snare": "kleine trommel, wirbeltrommel, klatschen",
    "hats": "becken, hi hat becken, ridebecken, crashbecken",
    "perc": "schlagwerk, perkussion, rassel, schellenkranz, glocken, pauke, pauken, trommel, "
    "trommeln",
    "bass": "kontrabass, e bass, bassgitarre, zupfbass",
    "guitar": "gitarre, gitarren, leadgitarre, rhythmusgitarre, akustikgitarre, westerngitarre, "
    "konzertgitarre, e gitarre, a gitarre, laute, zither",
    "keys": "klavier, orgel, tasten, tasteninstrument, flügel, akkordeon, cembalo, e piano",
    "pad": "fläche, flächen, teppich, klangteppich",
    "strings": "streicher, geige, geigen, bratsche, bratschen, harfe, violine, violinen",
    "brass": "bläser, trompete, trompeten, posaune, posaunen, saxophon, saxofon, klarinette, "
    "flöte, querflöte, blockflöte, waldhorn, hörner, blechbläser, holzbläser, oboe",
    "fx": "effekt, effekte, geräusch, geräusche, rauschen",
    "other": "musik, musikbett, fagott",
    ASIDE: "klick, metronom, referenz, rohmix, vorab, einzähler, gesamtmix, klickspur",
}

FRENCH = {
    "lead": "voix, chant, chanteur, chanteuse, voix principale, voix lead, chant lead",
    "speech": "parole, paroles, narrateur, narratrice, invité, invitée, animateur, animatrice, "
    "entretien, voix off, commentaire, présentateur, présentatrice",
    "backing": "chœur, choeur, chœurs, choeurs, voix chœurs, harmonies vocales, seconde voix",
    "drums": "batterie, boîte à rythmes, ambiance batterie",
    "kick": "grosse caisse, gc, pied",
    "snare": "caisse claire, cc, claquements",
    "hats": "charley, charleston, cymbale, cymbales, charlé",
    "perc": "percus, tambourin, maracas, bongos, grelots, timbales, toms",
    "bass": "basse, contrebasse, guitare basse, basse électrique",
    "guitar": "guitare, guitares, guitare solo, guitare rythmique, guitare acoustique, "
    "guitare électrique, mandoline",
    "keys": "clavier, claviers, orgue, piano droit, accordéon, clavecin",
    "synth": "synthé, synthés, synthétiseur, séquence",
    "pad": "nappe, nappes, ambiance",
    "strings": "cordes, violon, violons, alto à cordes, violoncelle, harpe",
    "brass": "cuivres, trompette, trompettes, cor, flûte, clarinette, hautbois, bois, vents",
    "fx": "effet, effets, bruit, bruits, bruitage, bruitages",
    "other": "musique, basson",
    ASIDE: "clic, métronome, référence, maquette, décompte, prémix",
}

SPANISH = {
    "lead": "voz, voces, canto, cantante, voz principal, voz solista, solista",
    "speech": "locutor, locutora, narrador, narradora, invitado, invitada, entrevista, diálogo, "
    "voz en off, presentador, presentadora, habla, moderador, moderadora",
    "backing": "coro, coros, segunda voz, segundas voces, armonías, voces de fondo",
    "drums": "batería, baterías, aéreos, ambiente batería, caja de ritmos",
    "kick": "bombo",
    "snare": "caja, redoblante, tarola, palmas, aplausos",
    "hats": "platillo, platillos, platos, charles, contratiempo, contratiempos",
    "perc": "percusión, percusiones, pandereta, maracas, güiro, timbales, cencerro, cajón, bongó",
    "bass": "bajo, bajos, contrabajo, bajo eléctrico",
    "guitar": "guitarra, guitarras, guitarra líder, guitarra rítmica, guitarra acústica, "
    "guitarra eléctrica, mandolina, requinto, charango",
    "keys": "teclado, teclados, órgano, acordeón, clavecín",
    "synth": "sinte, sintes, sintetizador, secuencia",
    "pad": "colchón, colchones, ambiente",
    "strings": "cuerdas, violín, violines, violonchelo, chelo, arpa",
    "brass": "metales, trompeta, trompetas, trombón, saxofón, flauta, clarinete, oboe, vientos, "
    "trompa",
    "fx": "efecto, efectos, ruido, ruidos",
    "other": "música, fagot",
    ASIDE: "claqueta, metrónomo, referencia, maqueta, mezcla, clic",
}

ITALIAN = {
    "lead": "voce, voci, canto, cantante, voce principale, voce solista",
    "speech": "parlato, narratore, narratrice, ospite, intervista, dialogo, conduttore, "
    "conduttrice, voce fuori campo, relatore",
    "backing": "coro, cori, coretti, seconda voce, controcanto, controcanti, armonizzazioni",
    "drums": "batteria, panoramici, ambiente batteria",
    "kick": "cassa, grancassa, gran cassa",
    "snare": "rullante, battimani",
    "hats": "piatti, piatto, charleston, charlie",
    "perc": "percussioni, tamburello, timbales, timpano, tamburi, campanaccio, nacchere",
    "bass": "basso, contrabbasso, basso elettrico",
    "guitar": "chitarra, chitarre, chitarra solista, chitarra ritmica, chitarra acustica, "
    "chitarra elettrica, mandolino",
    "keys": "tastiera, tastiere, pianoforte, organo, fisarmonica, clavicembalo",
    "synth": "sintetizzatore, sequenza",
    "pad": "tappeto, tappeti, ambiente",
    "strings": "archi, violino, violini, viola, violoncello, arpa",
    "brass": "ottoni, tromba, trombe, sassofono, flauto, clarinetto, fiati, corno",
    "fx": "effetto, effetti, rumore, rumori",
    "other": "musica, fagotto",
    ASIDE: "metronomo, riferimento, provino, missaggio",
}

PORTUGUESE = {
    "lead": "voz, vozes, canto, cantor, cantora, voz principal, vocal principal",
    "speech": "locutor, locução, narrador, narradora, convidado, convidada, entrevista, diálogo, "
    "apresentador, apresentadora, fala",
    "backing": "coro, coros, segunda voz, vocais de apoio, vozes de apoio, backing vocais",
    "drums": "bateria, baterias",
    "kick": "bumbo, bombo",
    "snare": "caixa, tarola, palmas",
    "hats": "prato, pratos, chimbal, contratempo",
    "perc": "percussão, pandeiro, surdo, ganzá, agogô, cuíca, chocalho, atabaque, caxixi, "
    "reco reco",
    "bass": "baixo, contrabaixo, baixo elétrico",
    "guitar": "guitarra, guitarras, violão, violões, cavaquinho, viola caipira, guitarra solo, "
    "bandolim, guitarra base",
    "keys": "teclado, teclados, órgão, sanfona, acordeão",
    "synth": "sintetizador, sequência",
    "pad": "ambiência, textura",
    "strings": "cordas, violino, violinos, violoncelo, harpa",
    "brass": "metais, trompete, trompetes, trombone, saxofone, flauta, clarinete, sopros",
    "fx": "efeito, efeitos, ruído, ruídos",
    "other": "música, fagote",
    ASIDE: "metrônomo, metrónomo, referência, guia, clique, mixagem",
}

DUTCH = {
    "lead": "zang, zanger, zangeres, hoofdzang, leadzang",
    "speech": "spraak, spreker, verteller, gast, gesprek, presentator, presentatrice, commentaar",
    "backing": "koor, achtergrondzang, achtergrondkoor",
    "drums": "drumstel, slagwerk",
    "kick": "basdrum, bas drum, grote trom",
    "snare": "kleine trom, handgeklap",
    "hats": "bekken, bekkens",
    "perc": "percussie, tamboerijn, trommel",
    "bass": "bas, contrabas, basgitaar",
    "guitar": "gitaar, gitaren, slaggitaar, sologitaar, leadgitaar, akoestische gitaar",
    "keys": "toetsen, vleugel, accordeon, klavecimbel",
    "pad": "tapijt, sfeer",
    "strings": "strijkers, viool, violen, altviool, harp",
    "brass": "blazers, trompet, trompetten, saxofoon, fluit, klarinet, hoorn, koper, hobo",
    "fx": "effecten, geluid, geluiden, ruis",
    "other": "muziek, fagot",
    ASIDE: "metronoom, referentie, ruwe mix, kliktrack",
}

POLISH = {
    "lead": "wokal, wokale, głos, glos, śpiew, wokalista, wokalistka, wokal główny",
    "speech": "lektor, lektorka, mowa, narrator, gość, wywiad, dialog, prowadzący, spiker",
    "backing": "chór, chórki, chor, chorki, drugi głos",
    "drums": "perkusja, bębny, zestaw perkusyjny",
    "kick": "stopa, centrala, bęben basowy",
    "snare": "werbel, klaskanie",
    "hats": "talerz, talerze, hajhat, blachy",
    "perc": "przeszkadzajki, instrumenty perkusyjne, tamburyn, kongi, bongosy, kotły, tomy",
    "bass": "gitara basowa, kontrabas, basy",
    "guitar": "gitara, gitary, gitara akustyczna, gitara elektryczna, gitara prowadząca, "
    "gitara rytmiczna, mandolina",
    "keys": "klawisze, pianino, fortepian, organy, akordeon, klawesyn",
    "synth": "syntezator, sekwencja",
    "pad": "pady, tło",
    "strings": "smyczki, skrzypce, altówka, wiolonczela, harfa",
    "brass": "dęte, trąbka, trąbki, puzon, saksofon, flet, klarnet, waltornia, obój",
    "fx": "efekt, efekty, szum, szumy",
    "other": "muzyka, fagot",
    ASIDE: "klik, metronom, referencja, zgranie",
}

RUSSIAN = {
    "lead": "вокал, голос, голоса, пение, солист, солистка, певец, певица, лид вокал",
    "speech": "речь, диктор, ведущий, ведущая, гость, гостья, интервью, рассказчик, диалог, "
    "голос за кадром",
    "backing": "бэк, бэки, бэк вокал, бэквокал, подпевки, хор, второй голос",
    "drums": "барабаны, ударные, ударная установка, оверхеды, бит",
    "kick": "бочка, бас бочка, бас барабан, большой барабан, кик",
    "snare": "малый, рабочий, малый барабан, рабочий барабан, снейр, хлопки, клэп",
    "hats": "хэт, хай хэт, хэты, тарелки, тарелка, хет, хай хет",
    "perc": "перкуссия, бубен, конги, бонги, шейкер, маракасы, томы, литавры",
    "bass": "бас, бас гитара, контрабас, саб, басс",
    "guitar": "гитара, гитары, соло гитара, ритм гитара, акустика, акустическая гитара, "
    "электрогитара, балалайка, домра, укулеле",
    "keys": "клавиши, пианино, фортепиано, рояль, орган, баян, аккордеон, родес",
    "synth": "синт, синты, синтезатор, арпеджио",
    "pad": "пэд, пэды, пад, подклад, атмосфера, фон",
    "strings": "струнные, скрипка, скрипки, альт, виолончель, арфа",
    "brass": "духовые, труба, трубы, тромбон, саксофон, флейта, кларнет, валторна, медь, гобой",
    "fx": "эффект, эффекты, шум, шумы",
    "other": "музыка, фагот",
    ASIDE: "клик, метроном, референс, черновик, сведение, мастер, микс",
}

JAPANESE = {
    "lead": "ボーカル, ヴォーカル, 歌, 歌唱, メインボーカル, リードボーカル, 声, ボイス, うた",
    "speech": "ナレーション, 語り, 司会, ゲスト, 対談, インタビュー, セリフ, 台詞, 朗読, トーク",
    "backing": "コーラス, ハモリ, ハモ, バックボーカル, バッキングボーカル, 合唱, ガヤ",
    "drums": "ドラム, ドラムス, ビート, オーバーヘッド, 太鼓",
    "kick": "キック, バスドラム, バスドラ",
    "snare": "スネア, クラップ, 手拍子",
    "hats": "ハイハット, シンバル, クラッシュ, ライド",
    "perc": "パーカッション, タンバリン, コンガ, ボンゴ, シェイカー, カウベル, タム, 打楽器, "
    "マリンバ",
    "bass": "ベース, ベースギター, コントラバス, サブベース",
    "guitar": "ギター, アコギ, エレキ, アコースティックギター, エレキギター, リードギター, "
    "三味線, 琴, ウクレレ",
    "keys": "ピアノ, キーボード, オルガン, エレピ, 鍵盤, アコーディオン",
    "synth": "シンセ, シンセサイザー, アルペジオ, シーケンス, シンセリード",
    "pad": "パッド, シンセパッド, アンビエント",
    "strings": "ストリングス, バイオリン, ヴァイオリン, ビオラ, チェロ, 弦, ハープ",
    "brass": "ブラス, トランペット, トロンボーン, サックス, フルート, クラリネット, ホルン, 管, "
    "尺八",
    "fx": "効果音, エフェクト, ノイズ",
    "other": "音楽, ジングル, オケ",
    ASIDE: "クリック, メトロノーム, リファレンス, ラフミックス, マスター, ミックス",
}

CHINESE = {
    "lead": "人声, 人聲, 主唱, 主音, 歌声, 歌聲, 声乐, 演唱, 唱, 主人声",
    "speech": "旁白, 主持, 主持人, 嘉宾, 嘉賓, 对白, 對白, 访谈, 訪談, 解说, 解說, 朗读, 语音",
    "backing": "和声, 和聲, 伴唱, 和音, 合唱, 合声",
    "drums": "鼓, 鼓组, 鼓組, 架子鼓, 爵士鼓, 节拍, 鼓房, 顶置",
    "kick": "底鼓, 大鼓, 低音鼓",
    "snare": "军鼓, 軍鼓, 小鼓, 拍手",
    "hats": "踩镲, 踩鑔, 镲, 镲片, 钹",
    "perc": "打击乐, 打擊樂, 铃鼓, 鈴鼓, 沙锤, 邦戈, 康加, 牛铃, 嗵鼓, 木琴",
    "bass": "贝斯, 貝斯, 低音, 低音提琴, 电贝斯",
    "guitar": "吉他, 木吉他, 电吉他, 電吉他, 主音吉他, 节奏吉他, 琵琶, 古筝, 尤克里里",
    "keys": "钢琴, 鋼琴, 键盘, 鍵盤, 电钢, 电钢琴, 风琴, 風琴, 手风琴",
    "synth": "合成器, 琶音",
    "pad": "铺底, 氛围, 氛圍, 音垫",
    "strings": "弦乐, 弦樂, 小提琴, 中提琴, 大提琴, 二胡, 竖琴",
    "brass": "铜管, 銅管, 小号, 小號, 长号, 萨克斯, 薩克斯, 长笛, 單簧管, 单簧管, 管乐, 笛子, 圆号",
    "fx": "音效, 效果, 噪音, 特效",
    "other": "音乐, 音樂, 配乐, 伴奏",
    ASIDE: "节拍器, 節拍器, 参考, 參考, 母带, 混音, 粗混",
}

KOREAN = {
    "lead": "보컬, 노래, 목소리, 리드보컬, 메인보컬, 가수, 메인 보컬, 리드 보컬",
    "speech": "내레이션, 나레이션, 진행자, 게스트, 인터뷰, 대사, 해설, 낭독",
    "backing": "코러스, 백보컬, 화음, 합창, 백킹보컬, 백 보컬",
    "drums": "드럼, 드럼스, 비트, 오버헤드",
    "kick": "킥, 베이스드럼, 킥드럼, 베이스 드럼",
    "snare": "스네어, 박수, 클랩",
    "hats": "하이햇, 심벌, 크래쉬, 라이드",
    "perc": "퍼커션, 탬버린, 콩가, 봉고, 셰이커, 타악기, 탐",
    "bass": "베이스, 베이스기타, 콘트라베이스, 베이스 기타, 서브베이스",
    "guitar": "기타, 통기타, 일렉기타, 어쿠스틱기타, 일렉, 가야금, 우쿨렐레, 리드 기타",
    "keys": "피아노, 건반, 오르간, 키보드, 일렉피아노, 아코디언",
    "synth": "신스, 신디, 신디사이저, 아르페지오, 신스리드",
    "pad": "패드, 신스패드, 앰비언트",
    "strings": "스트링, 스트링스, 바이올린, 비올라, 첼로, 현악, 하프",
    "brass": "브라스, 트럼펫, 트롬본, 색소폰, 플루트, 클라리넷, 관악, 호른",
    "fx": "효과음, 이펙트, 노이즈",
    "other": "음악, 반주",
    ASIDE: "클릭, 메트로놈, 레퍼런스, 마스터, 믹스, 가믹스",
}

LANGUAGES = (ENGLISH, FIELD, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE,
             DUTCH, POLISH, RUSSIAN, JAPANESE, CHINESE, KOREAN)  # fmt: skip
"""What an earlier table says holds."""

WEAK = frozenset({"lead", "808", "909", "acoustic", "akustik", "room", "raum", "sub", "акустика"})
"""What tells a role only where nothing else does: a lead guitar, an 808 snare."""
NO_VOICE = frozenset({"instrumental", "karaoke", "playback", "オケ", "伴奏", "반주"})
"""What says that no voice is in it, whatever the song is called."""
WITHOUT = frozenset(
    {"no", "not", "non", "without", "minus", "sans", "ohne", "kein", "keine", "sin", "senza", "sem"}
    | {"zonder", "geen", "bez", "без"}
)
"""What follows is not in the stem."""
AND = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "e", "o", "en", "i", "и"})
LACKING = ("なし", "抜き", "无", "無", "没有", "없음", "없는")
"""The same where words are not spaced, before or after what is lacking."""
