// What our scripts say, in the language of the page. The English text is the key: locales/LANGUAGE/main.json translates it,
// and tests/nodes/test_locales.py finds every text in our scripts.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

let translations = {}
let nodeDefs = {}

app.registerExtension({
  name: 'Upscale8K.Words',
  async init() {
    const all = await api.getCustomNodesI18n().catch(() => ({}))
    const here = all[app.extensionManager.setting.get('Comfy.Locale')] ?? {}
    translations = here.upscale8k ?? {}
    nodeDefs = here.nodeDefs ?? {}
  }
})

/** The text, translated, with {name} replaced by what `values` holds under that name. */
export function say(text, values = {}) {
  return (translations[text] ?? text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}

/** How the page calls an input of a node type, and what it says the input is for; undefined where it says that in English. */
export function inputWords(type, input) {
  const { name, tooltip } = nodeDefs[type]?.inputs?.[input] ?? {}
  return { name, tooltip: tooltip?.replace(/\{'(.)'\}/g, '$1') } // as the files write what vue-i18n would take for commands
}
